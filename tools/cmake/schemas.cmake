# grapevine_schemas(TARGET FOLDER FILES...): a library of the Cap'n Proto schemas FOLDER/FILES, included as "FOLDER/FILE.h".
# Compiled as it comes: the warnings are for our own code.
function(grapevine_schemas TARGET FOLDER)
  set(out ${CMAKE_BINARY_DIR}/schemas/${TARGET})
  file(MAKE_DIRECTORY ${out}/${FOLDER})
  set(generated)
  foreach(file IN LISTS ARGN)
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/${FOLDER}/${file})
    list(APPEND generated ${out}/${FOLDER}/${file}.c++)
    list(APPEND headers ${out}/${FOLDER}/${file}.h)
  endforeach()
  add_custom_command(
    OUTPUT ${generated} ${headers}
    COMMAND ${CAPNP_EXECUTABLE} compile -o${CAPNPC_CXX_EXECUTABLE}:${out} --src-prefix=${CMAKE_SOURCE_DIR}
            -I${CAPNP_INCLUDE_DIRECTORY} ${inputs}
    DEPENDS ${inputs}
    VERBATIM)
  add_library(${TARGET} STATIC ${generated})
  target_compile_options(${TARGET} PRIVATE -w)
  target_include_directories(${TARGET} SYSTEM PUBLIC ${out})
  target_link_libraries(${TARGET} PUBLIC CapnProto::capnp-rpc)
endfunction()
