# The Debian package: what lies where once it is installed, and what CPack is told. ./dev package does it all.
set(HOLDFAST_DEBIAN_REVISION 1)
set(HOLDFAST_DEBIAN_VERSION ${PROJECT_VERSION}-${HOLDFAST_DEBIAN_REVISION})
set(CPACK_PACKAGE_CONTACT "Holdfast maintainers <maintainers@holdfast.example>")
string(TIMESTAMP HOLDFAST_CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, if it is set

# ---- what is made for it ----
set(PACKAGING ${PROJECT_SOURCE_DIR}/systemd)
set(MADE ${PROJECT_BINARY_DIR}/package)
configure_file(${PACKAGING}/debian/changelog.in ${MADE}/changelog.Debian @ONLY)
set(MADE_FILES holdfast.1.gz holdfast.bash _holdfast holdfast.fish changelog.gz changelog.Debian.gz)
list(TRANSFORM MADE_FILES PREPEND ${MADE}/)
add_custom_command(
  OUTPUT ${MADE_FILES}
  COMMAND ${PACKAGING}/package_files.sh $<TARGET_FILE:holdfast> ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${MADE}
  DEPENDS holdfast ${PACKAGING}/package_files.sh ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${MADE}/changelog.Debian
  VERBATIM)
add_custom_target(holdfast_package_files DEPENDS ${MADE_FILES})

# ---- where it lies ----
set(DOCUMENTS share/doc/holdfast)
file(GLOB PACKAGE_DOCUMENTS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
install(TARGETS holdfast RUNTIME DESTINATION bin)
install(FILES ${PACKAGING}/holdfast.service DESTINATION lib/systemd/system)
install(FILES ${PACKAGING}/holdfast.sysusers DESTINATION lib/sysusers.d RENAME holdfast.conf)
install(FILES ${PACKAGING}/config.yaml DESTINATION /etc/holdfast)
install(FILES ${MADE}/holdfast.1.gz DESTINATION share/man/man1)
install(FILES ${MADE}/holdfast.bash DESTINATION share/bash-completion/completions RENAME holdfast)
install(FILES ${MADE}/_holdfast DESTINATION share/zsh/vendor-completions)
install(FILES ${MADE}/holdfast.fish DESTINATION share/fish/vendor_completions.d)
install(FILES ${PACKAGING}/debian/lintian-overrides DESTINATION share/lintian/overrides RENAME holdfast)
# As in the sources, so that the links between them lead somewhere.
install(FILES ${PACKAGE_DOCUMENTS} DESTINATION ${DOCUMENTS}/docs)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/config.example.yaml ${MADE}/changelog.gz
              ${MADE}/changelog.Debian.gz ${PACKAGING}/debian/copyright
        DESTINATION ${DOCUMENTS})

# ---- the package ----
set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON) # else what goes to /etc would go to this machine's
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGE_DIRECTORY ${MADE})
set(CPACK_OUTPUT_FILE_PREFIX ${PROJECT_SOURCE_DIR}/build)
set(CPACK_PACKAGE_VENDOR Holdfast)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "OpenTelemetry agent that loses nothing")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Holdfast takes traces, metrics and logs over OTLP beside the applications that
send them, has them on disk before it answers, and forwards them when the
upstream can be reached. It reads the configuration of the OpenTelemetry
Collector and answers as the Collector does.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${HOLDFAST_DEBIAN_REVISION})
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PACKAGING}/debian/conffiles ${PACKAGING}/debian/postinst
                                       ${PACKAGING}/debian/prerm ${PACKAGING}/debian/postrm)
include(CPack)
