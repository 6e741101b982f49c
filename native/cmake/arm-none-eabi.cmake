# For Arm Cortex-M without an operating system, by the GNU compiler. ONEBIT_CPU chooses the core, and with it whether
# floats are computed in hardware.
set(ONEBIT_CPU cortex-m4 CACHE STRING "cortex-m0, cortex-m3, cortex-m4, cortex-m7, ...")
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # a program would need the board's startup code
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ONEBIT_CPU)
if(ONEBIT_CPU MATCHES "^cortex-m[47]$")
  set(onebit_float hard)
else()
  set(onebit_float soft)
endif()
add_compile_options(-mcpu=${ONEBIT_CPU} -mthumb -mfloat-abi=${onebit_float})
add_link_options(-mcpu=${ONEBIT_CPU} -mthumb -mfloat-abi=${onebit_float})
