if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  onebit_isa(avx2 -mavx2)
endif()
