set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(THREADS_PREFER_PTHREAD_FLAG ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# For our own sources; generated ones are compiled without warnings (schemas.cmake).
add_library(grapevine_warnings INTERFACE)
target_compile_options(grapevine_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 sees uninitialised values in KJ's and the standard library's optional values where there are none.
  target_compile_options(grapevine_warnings INTERFACE -Wno-maybe-uninitialized)
endif()

set(GRAPEVINE_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
if(GRAPEVINE_SANITIZE)
  add_compile_options(-fsanitize=${GRAPEVINE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${GRAPEVINE_SANITIZE})
endif()
