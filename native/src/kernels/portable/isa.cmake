onebit_isa(portable)
