# Writes build_info.h from its template; -DSOURCE, -DIN, -DOUT and the template's variables come from CMakeLists.txt.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty OUTPUT_VARIABLE BANTAM_COMMIT
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT BANTAM_COMMIT)
  set(BANTAM_COMMIT unknown)
endif()
configure_file(${IN} ${OUT} @ONLY)
