# What `cmake --install` lays out: the program, its man page and completions (written by the program itself), the
# public headers with one static library behind them, and the licence. Then the packages that cpack makes of it.
include(GNUInstallDirs)

# libbantam.a: every room but cli and hub (no public header reaches the latter), from the objects that the program is
# linked from.
add_library(bantam_library STATIC)
set_target_properties(bantam_library PROPERTIES OUTPUT_NAME bantam LINKER_LANGUAGE CXX
                      ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
foreach(room ${BANTAM_ROOMS})
  if(NOT room MATCHES "^(cli|hub)$" AND TARGET bantam_${room})
    target_sources(bantam_library PRIVATE $<TARGET_OBJECTS:bantam_${room}>)
  endif()
endforeach()

set(generated ${CMAKE_BINARY_DIR}/share)
set(bash_completion ${generated}/bash-completion/completions/bantam)
set(zsh_completion ${generated}/zsh/vendor-completions/_bantam)
set(fish_completion ${generated}/fish/vendor_completions.d/bantam.fish)
file(MAKE_DIRECTORY ${generated}/man/man1 ${generated}/bash-completion/completions ${generated}/zsh/vendor-completions
     ${generated}/fish/vendor_completions.d)
add_custom_command(
  OUTPUT ${generated}/man/man1/bantam.1 ${bash_completion} ${zsh_completion} ${fish_completion}
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/make_man.py $<TARGET_FILE:bantam>
          ${generated}/man/man1/bantam.1
  COMMAND $<TARGET_FILE:bantam> completion bash > ${bash_completion}
  COMMAND $<TARGET_FILE:bantam> completion zsh > ${zsh_completion}
  COMMAND $<TARGET_FILE:bantam> completion fish > ${fish_completion}
  DEPENDS bantam ${PROJECT_SOURCE_DIR}/tools/make_man.py
  COMMENT "Writing the man page and the completions")
add_custom_target(bantam_share ALL DEPENDS ${generated}/man/man1/bantam.1)

configure_file(cmake/bantam.pc.in bantam.pc @ONLY)
configure_file(cmake/bantamConfig.cmake.in bantamConfig.cmake @ONLY)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/bantamConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS bantam)
install(TARGETS bantam_library ARCHIVE)
install(DIRECTORY include/bantam TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${generated}/ DESTINATION ${CMAKE_INSTALL_DATADIR})
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${CMAKE_BINARY_DIR}/bantam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/bantamConfig.cmake ${CMAKE_BINARY_DIR}/bantamConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bantam)

set(CPACK_GENERATOR "DEB;TGZ")
set(CPACK_PACKAGE_VENDOR "bantam developers")
set(CPACK_PACKAGE_CONTACT "bantam developers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "One program that opens safetensors folders and GGUF files of Qwen3 and Qwen2.5 models,
chats, scores, converts, quantises and measures them on the CPU. A small house model is inside.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_NAME bantam)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What programs that link libbantam.a need.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++, libfmt-dev, libsimdjson-dev, libutf8proc-dev")
include(CPack)
