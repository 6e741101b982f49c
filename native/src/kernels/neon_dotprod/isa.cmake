if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  onebit_isa(neon_dotprod -march=armv8.2-a+dotprod)
endif()
