# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# make install into a folder: the program runs, both libraries link, and uninstall
# leaves no file behind.
source tests/e2e/lib.sh

root=$WORK/root
unset MAKEFLAGS MFLAGS MAKELEVEL
# The build under test is there already; -o keeps make from building anything again here.
place() { make -s -o all "$1" BUILD="$BUILD" DESTDIR="$root" PREFIX=/opt/dpf; }

cat >"$WORK/user.c" <<'END'
#include <dpf.h>
int main(void) {
    const dpf_key key = {"sparsity", "0.5", 1};
    dpf_options options;
    dpf_error err;
    return dpf_options_parse(&options, "cfg", 1, &key, 1, &err) == DPF_OK && options.sparsity == 0.5 ? 0 : 1;
}
END

passes "make install" place install
at=$root/opt/dpf
passes "the program runs from there" sh -c "'$at/bin/darknet-dpf' 2>&1 | grep -q 'classifier train'"
is "every installed file has the name of this project" "$(find "$at/bin" "$at/lib" -type f -printf '%f ' | tr ' ' '\n' | grep -vcE '^(darknet-dpf|libdpf\..*|dpf\.pc|)$')" = 0
passes "a program links with the shared library" cc -Werror -o "$WORK/shared" -I"$at/include" "$WORK/user.c" -L"$at/lib" -ldpf
passes "and runs" env LD_LIBRARY_PATH="$at/lib" "$WORK/shared"
private=$(sed -n 's/^Libs.private: //p' "$at/lib/pkgconfig/dpf.pc")
# shellcheck disable=SC2086 # the libraries are words
passes "a program links with the static library" cc -Werror -o "$WORK/static" -I"$at/include" "$WORK/user.c" "$at/lib/libdpf.a" $private
passes "and runs without it" "$WORK/static"
is "the prefix stands in the pkg-config file" "$(head -n 1 "$at/lib/pkgconfig/dpf.pc")" = "prefix=/opt/dpf"
passes "make uninstall" place uninstall
is "no file is left" "$(find "$root" ! -type d | wc -l)" = 0

finish
