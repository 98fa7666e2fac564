/*
 * Linked into the static binary. glibc looks names up through the modules that /etc/nsswitch.conf lists, and a
 * static program that loads one of them from a machine with another glibc can crash. "files" and "dns" are part of
 * the C library itself since glibc 2.34, so these two are used, whatever the machine lists.
 */
#include <nss.h>

__attribute__((constructor)) static void use_built_in_modules(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}
