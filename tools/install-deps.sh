#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the Debian packages that are missing. Does nothing when all are there.
#
#   tools/install-deps.sh [build|test|lint|fuzz|demo|neon]     (default: build)
#
# As root it asks nothing; otherwise it goes through sudo and says so. Where there is
# no apt it lists what this machine lacks, to be installed by hand, and fails.
# With DARKNET=DIR set to another Darknet build, Debian's package is not asked for.
set -eu

packages="build-essential libdnnl-dev libopenblas-dev libstb-dev libzstd-dev libxxhash-dev zlib1g-dev"
[ "${DARKNET:-/usr/lib/darknet}" != /usr/lib/darknet ] || packages="$packages darknet"
case "${1:-build}" in
build) ;;
test) packages="$packages libcmocka-dev libjansson-dev dataset-fashion-mnist" ;;
lint) packages="$packages libcmocka-dev libjansson-dev clang-format clang-tidy libomp-dev cppcheck shellcheck git" ;;
fuzz) packages="$packages clang libclang-rt-14-dev libomp-dev" ;;
neon) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" ;; # about 250 MB
demo) packages="$packages dataset-fashion-mnist" ;;
*)
    echo "usage: tools/install-deps.sh [build|test|lint|fuzz|demo|neon]" >&2
    exit 2
    ;;
esac

# How to see, without dpkg, that what a package brings is there.
present() {
    case "$1" in
    gcc-aarch64-linux-gnu | libc6-dev-arm64-cross) command -v aarch64-linux-gnu-gcc ;;
    qemu-user) command -v qemu-aarch64 ;;
    build-essential) command -v "${CC:-cc}" && command -v make ;;
    darknet) [ -f /usr/lib/darknet/libdarknet.so ] ;;
    dataset-fashion-mnist) [ -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] ;;
    libclang-rt-14-dev) command -v clang ;;
    clang* | cppcheck | shellcheck | git) command -v "$1" ;;
    libdnnl-dev) header dnnl.h ;;
    libopenblas-dev) header cblas.h ;;
    libstb-dev) header stb/stb_image.h ;;
    libzstd-dev) header zstd.h ;;
    libxxhash-dev) header xxhash.h ;;
    zlib1g-dev) header zlib.h ;;
    libjansson-dev) header jansson.h ;;
    libcmocka-dev) header stdarg.h stddef.h stdint.h setjmp.h cmocka.h ;;
    libomp-dev) header omp.h ;;
    *) false ;;
    esac >/dev/null 2>&1
}

header() {
    for name in "$@"; do echo "#include <$name>"; done | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

missing=
if command -v dpkg >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    for package in $packages; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || exit 0
    sudo=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Missing packages, and neither root nor sudo to install them. As root, run:" >&2
            echo "    apt-get install$missing" >&2
            exit 1
        fi
        echo "Not root: sudo may ask for your password."
        sudo=sudo
    fi
    echo "Installing:$missing"
    # env, because sudo drops variables. A lock held by another apt is waited for.
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
    $apt update </dev/null || echo "apt-get update failed; trying with the package lists that are here" >&2
    # shellcheck disable=SC2086 # one word a package
    $apt install -y --no-install-recommends $missing </dev/null || {
        echo "Could not install:$missing" >&2
        exit 1
    }
    exit 0
fi

for package in $packages; do
    present "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "There is no apt here. Install by hand what these Debian packages hold, then try again:" >&2
for package in $missing; do
    case "$package" in
    build-essential) what="a C compiler (gcc 12 or newer) and make" ;;
    darknet) what="Darknet of 2018: libdarknet.so and include/darknet.h; any folder, with make DARKNET=DIR" ;;
    libdnnl-dev) what="oneDNN 2.x with its C headers (dnnl.h)" ;;
    libopenblas-dev) what="OpenBLAS with cblas.h" ;;
    libstb-dev) what="the stb headers as stb/stb_image.h, and libstb" ;;
    libzstd-dev) what="zstd" ;;
    libxxhash-dev) what="xxHash" ;;
    zlib1g-dev) what="zlib" ;;
    libcmocka-dev) what="cmocka 1.1, for the tests" ;;
    libjansson-dev) what="Jansson, for the tests" ;;
    dataset-fashion-mnist) what="the Fashion-MNIST files, in /usr/share/datasets/fashion-mnist" ;;
    *) what="$package" ;;
    esac
    echo "    $package: $what" >&2
done
exit 1
