if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  onebit_isa(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vpopcntdq -mavx512vnni)
endif()
