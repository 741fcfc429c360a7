#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The house rules that a machine can check. Prints what breaks one, with file and
# line, and fails; prints one line a rule when all is well.
set -u
shopt -s lastpipe # report, at the end of a pipe, must set `bad` in this shell
cd "$(dirname "$0")/.." || exit 2

bad=0
report() { # NAME, findings on standard input
    local found
    found=$(cat)
    if [[ -n $found ]]; then
        printf '%s\n' "$found"
        echo "FAIL $1"
        bad=1
    else
        echo "ok   $1"
    fi
}

# Every file of the project, new ones included, without what git ignores.
if git rev-parse --git-dir >/dev/null 2>&1; then
    mapfile -t files < <(git ls-files -co --exclude-standard | sort -u)
else
    mapfile -t files < <(find . -path ./build -prune -o -type f -printf '%P\n' | sort)
fi
c_files=() text=() scripts=() headed=()
for file in "${files[@]}"; do
    [[ -f $file ]] || continue
    case $file in
    tests/fuzz/corpus/* | tests/data/* | *.png | *.weights | *.dpf | *.dict) continue ;;
    *.[ch]) c_files+=("$file") ;;
    esac
    text+=("$file")
    case $file in
    *.sh | tests/run | .ci/run) scripts+=("$file") ;;
    esac
    case $file in
    *.[ch] | *.sh | *.mk | *.map | *.cfg | *.1 | Makefile | tests/run | .ci/run) headed+=("$file") ;;
    esac
done

# A folder of src/ includes itself and those to its left.
floors="dpf/core dpf/kernels dpf/model dpf/runtime dpf/darknet"
floors+=" cli/terminal cli/data cli/page cli/score cli/train cli/verbs cli"
awk -v floors="$floors" '
BEGIN { count = split(floors, floor, " ") }
function floor_of(path,    i) {
    for (i = 1; i <= count; i++)
        if (path ~ "^src/" floor[i] "/[^/]*$") return i
    return 0
}
FNR == 1 { dir = FILENAME; sub(/[^\/]*$/, "", dir) }
/^[ \t]*#[ \t]*include[ \t]*[<"]([^">]*\/)?darknet\.h[">]/ {
    if (FILENAME !~ /^src\/dpf\/darknet\// && FILENAME !~ /^tests\/unit\/test_darknet_/)
        print FILENAME ":" FNR ": only src/dpf/darknet and its tests include darknet.h"
    next
}
/^[ \t]*#[ \t]*include[ \t]*"/ && floor_of(FILENAME) {
    name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    path = dir name
    while (sub(/[^\/]+\/\.\.\//, "", path)) ;
    if (path ~ /^src\/dpf\/dpf\.h$/) next
    if (!floor_of(path)) print FILENAME ":" FNR ": \"" name "\" is not a header of a floor; includes are relative to the file"
    else if (floor_of(path) > floor_of(FILENAME)) print FILENAME ":" FNR ": \"" name "\" lies above this floor"
}' "${c_files[@]}" | report "includes point down: $floors"

{ [[ ! -f src/dpf/dpf.h ]] || grep -nH '#include "' src/dpf/dpf.h; } | report "the public header stands alone"

wc -l "${c_files[@]}" | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines, at most 500" }' |
    report "files of at most 500 lines"

for file in "${headed[@]}"; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file:1: no SPDX line at its head"
done | report "SPDX heads"

grep -nHE '[[:blank:]]+$' "${text[@]}" | sed 's/$/<- blanks at the end of the line/' | report "no trailing blanks"

for file in "${text[@]}"; do
    [[ ! -s $file || -z $(tail -c 1 "$file" | tr -d '\n') ]] || echo "$file: no newline at its end"
done | report "newline at the end"

grep -nHE '^#[[:blank:]]*if[[:blank:]]+0' "${c_files[@]}" | report "no #if 0"

# The library has no voice and never ends the process.
mapfile -t library < <(printf '%s\n' "${c_files[@]}" | grep '^src/dpf/')
for file in "${library[@]}"; do
    # Comments are blanked, line by line, so that the numbers stay right.
    awk -v file="$file" '
    { line = $0; gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line); sub(/\/\*.*/, "", line) }
    /^[ \t]*\*/ { next }
    line ~ /(^|[^A-Za-z_])(printf|puts|putchar|perror|exit|_exit|abort|assert)[ \t]*\(/ ||
    line ~ /(^|[^A-Za-z_])(stdout|stderr)([^A-Za-z_]|$)/ { print file ":" FNR ": " $0 }' "$file"
done | report "the library never prints or exits"

for file in "${c_files[@]}"; do
    clang-format "$file" | cmp -s - "$file" || echo "$file: not formatted (make format)"
done | report "clang-format"

shellcheck -x -e SC1091,SC2317 "${scripts[@]}" 2>&1 | report "shellcheck"

# Kernels of another instruction set do not compile here.
other='_avx(2|512)\.c$'
isa=
if [[ $(uname -m) == x86_64 ]]; then
    other='_neon\.c$'
    isa="-mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl"
fi
mapfile -t sources < <(printf '%s\n' "${c_files[@]}" | grep '\.c$' | grep -vE "$other")
jobs=$(nproc)
# shellcheck disable=SC2086 # the flags are words
printf '%s\n' "${sources[@]}" |
    xargs -P "$jobs" -I{} clang-tidy --quiet {} -- -std=c11 -D_GNU_SOURCE -DDPF_VERSION='""' -Isrc \
        -isystem "${DARKNET:-/usr/lib/darknet}/include" -fopenmp $isa 2>/dev/null |
    report "clang-tidy"

cppcheck --std=c11 --enable=warning,performance,portability --inline-suppr --quiet -j "$jobs" -Isrc -D_GNU_SOURCE \
    --suppress=missingIncludeSystem --suppress=arrayIndexThenCheck "${sources[@]}" 2>&1 | report "cppcheck"

exit "$bad"
