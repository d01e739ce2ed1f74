# Library target `bantam_web`: the web UI (web/) and the Debian libraries it uses, embedded, behind src/server/web_assets.h.
# What it embeds, as URL=FILE. Libraries come from the distribution; a missing one is an error that names its package.
set(BANTAM_WEB_FILES "")
set(BANTAM_WEB_SOURCES "")
function(bantam_web_file url file package)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "the web UI needs ${file}: install the Debian package ${package} (./dev setup does)")
  endif()
  list(APPEND BANTAM_WEB_FILES "${url}=${file}")
  list(APPEND BANTAM_WEB_SOURCES ${file})
  set(BANTAM_WEB_FILES ${BANTAM_WEB_FILES} PARENT_SCOPE)
  set(BANTAM_WEB_SOURCES ${BANTAM_WEB_SOURCES} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE own CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/web
     ${PROJECT_SOURCE_DIR}/web/*.html ${PROJECT_SOURCE_DIR}/web/*.js ${PROJECT_SOURCE_DIR}/web/*.css ${PROJECT_SOURCE_DIR}/web/*.svg)
foreach(name ${own})
  if(name STREQUAL "index.html")
    bantam_web_file(/ ${PROJECT_SOURCE_DIR}/web/${name} "")
  else()
    bantam_web_file(/ui/${name} ${PROJECT_SOURCE_DIR}/web/${name} "")
  endif()
endforeach()
bantam_web_file(/ui/lib/marked.min.js /usr/share/javascript/marked/marked.min.js libjs-marked)
bantam_web_file(/ui/lib/purify.min.js /usr/share/nodejs/dompurify/dist/purify.min.js node-dompurify)
bantam_web_file(/ui/lib/highlight.min.js /usr/share/javascript/highlight.js/highlight.min.js libjs-highlight.js)
bantam_web_file(/ui/lib/katex.min.js /usr/share/javascript/katex/katex.min.js libjs-katex)
bantam_web_file(/ui/lib/katex.min.css /usr/share/javascript/katex/katex.min.css libjs-katex)
file(GLOB fonts /usr/share/fonts/truetype/katex/*.woff2)
if(NOT fonts)
  bantam_web_file(/ui/lib/fonts/KaTeX_Main-Regular.woff2 /usr/share/fonts/truetype/katex/KaTeX_Main-Regular.woff2 fonts-katex)
endif()
foreach(font ${fonts})
  get_filename_component(name ${font} NAME)
  bantam_web_file(/ui/lib/fonts/${name} ${font} fonts-katex)
endforeach()
# Their licences ask to come along; the help sheet links to them.
foreach(package libjs-marked node-dompurify libjs-highlight.js libjs-katex fonts-katex)
  bantam_web_file(/ui/licences/${package}.txt /usr/share/doc/${package}/copyright ${package})
endforeach()

set(generated ${CMAKE_BINARY_DIR}/web)
file(MAKE_DIRECTORY ${generated})
add_custom_command(
  OUTPUT ${generated}/web_assets.cpp ${generated}/web_assets.bin
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/web_assets.py ${generated}/web_assets.cpp ${generated}/web_assets.bin ${BANTAM_WEB_FILES}
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/web_assets.py ${BANTAM_WEB_SOURCES}
  COMMENT "embedding the web UI" VERBATIM)
set_source_files_properties(${generated}/web_assets.cpp PROPERTIES OBJECT_DEPENDS ${generated}/web_assets.bin)
add_library(bantam_web STATIC ${generated}/web_assets.cpp)
target_link_libraries(bantam_web PUBLIC bantam_options)
