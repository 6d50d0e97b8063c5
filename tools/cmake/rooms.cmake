# Rooms: one static library a folder, which sees the headers of the rooms that the table in CMakeLists.txt grants it and no
# others. Three checks keep the table true: a link that it lacks is refused at configure time; every library is linked whole,
# with its own uses only, into an empty program; and a header of a room that was not granted is not on the include path.

# grapevine_room(NAME FOLDER [USES...]): a line of the table.
function(grapevine_room NAME FOLDER)
  set_property(GLOBAL APPEND PROPERTY GRAPEVINE_ROOMS ${NAME})
  set_property(GLOBAL PROPERTY GRAPEVINE_FOLDER_${NAME} ${FOLDER})
  set_property(GLOBAL PROPERTY GRAPEVINE_USES_${NAME} "${ARGN}")
  # A folder of its own on the include path, with nothing in it but this room.
  set(view ${CMAKE_BINARY_DIR}/rooms/${NAME})
  cmake_path(GET FOLDER PARENT_PATH parent)
  file(MAKE_DIRECTORY ${view}/${parent})
  if(NAME STREQUAL storage)
    # Its folder holds the folders of two other rooms: show its own headers only.
    file(MAKE_DIRECTORY ${view}/${FOLDER})
    file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/${FOLDER} ${CMAKE_SOURCE_DIR}/${FOLDER}/*.h)
    foreach(header IN LISTS headers)
      file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${FOLDER}/${header} ${view}/${FOLDER}/${header} SYMBOLIC)
    endforeach()
  else()
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${FOLDER} ${view}/${FOLDER} SYMBOLIC)
  endif()
endfunction()

# grapevine_library(NAME [EXCEPT FILES...] [PUBLIC_HEADERS FOLDER] [LINK LIBRARIES...]): the room's library, from every
# source in its folder. With PUBLIC_HEADERS others see only that folder of it.
function(grapevine_library NAME)
  cmake_parse_arguments(ARG "" "PUBLIC_HEADERS" "EXCEPT;LINK" ${ARGN})
  get_property(folder GLOBAL PROPERTY GRAPEVINE_FOLDER_${NAME})
  get_property(uses GLOBAL PROPERTY GRAPEVINE_USES_${NAME})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc)
  foreach(file IN LISTS ARG_EXCEPT)
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/${folder}/${file})
  endforeach()
  add_library(grapevine_${NAME} STATIC ${sources})
  if(ARG_PUBLIC_HEADERS)
    target_include_directories(grapevine_${NAME} PUBLIC ${CMAKE_SOURCE_DIR}/${folder}/${ARG_PUBLIC_HEADERS}
                               PRIVATE ${CMAKE_BINARY_DIR}/rooms/${NAME})
  else()
    target_include_directories(grapevine_${NAME} PUBLIC ${CMAKE_BINARY_DIR}/rooms/${NAME})
  endif()
  list(TRANSFORM uses PREPEND grapevine_)
  target_link_libraries(grapevine_${NAME} PRIVATE grapevine_warnings PUBLIC ${uses} ${ARG_LINK})
endfunction()

# Refuses what the table does not grant, and builds the whole-link checks.
function(grapevine_check_rooms)
  get_property(rooms GLOBAL PROPERTY GRAPEVINE_ROOMS)
  set(empty ${CMAKE_BINARY_DIR}/rooms/empty.cc)
  file(CONFIGURE OUTPUT ${empty} CONTENT "int main() {}\n")
  foreach(room IN LISTS rooms)
    get_property(granted GLOBAL PROPERTY GRAPEVINE_USES_${room})
    get_target_property(links grapevine_${room} LINK_LIBRARIES)
    foreach(other IN LISTS rooms)
      if(grapevine_${other} IN_LIST links AND NOT other IN_LIST granted)
        message(FATAL_ERROR "${room} may not use ${other}: the table in CMakeLists.txt does not grant it")
      endif()
    endforeach()
    add_executable(link_${room} ${empty})
    set_target_properties(link_${room} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/rooms/linked)
    target_link_libraries(link_${room} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,grapevine_${room}>)
  endforeach()
endfunction()
