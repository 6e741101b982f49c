onebit_isa(reference)
