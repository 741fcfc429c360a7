# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For the scripts of tests/e2e: TAP output, and the ways to say what a command
# should do. A script begins with
#
#   source tests/e2e/lib.sh
#
# and ends with `finish`. It runs in the top folder; $WORK is an empty folder of its
# own (absolute), $DPF the program. No set -e: a failed check must not end the script.
set -u
: "${WORK:?}" "${BUILD:?}"

export DPF=$PWD/$BUILD/darknet
OUT=$WORK/.stdout
ERR=$WORK/.stderr
count=0
bad=0

# result STATUS NAME: one test; what the last command printed goes along when it failed.
result() {
    count=$((count + 1))
    if (($1 == 0)); then
        echo "ok $count - $2"
    else
        bad=$((bad + 1))
        echo "not ok $count - $2"
        tail -n 10 "$OUT" "$ERR" 2>/dev/null | sed 's/^/# /'
    fi
}

# run COMMAND...: output in the files $OUT and $ERR, status in $status.
run() {
    status=0
    "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
}

# passes NAME COMMAND...: exit status 0.
passes() {
    local name=$1
    shift
    run "$@"
    result "$status" "$name"
}

# fails NAME PATTERN COMMAND...: exit status 1, and a line of standard error matches.
# A crash (128 and above) is no clean failure.
fails() {
    local name=$1 pattern=$2
    shift 2
    run "$@"
    [[ $status == 1 ]] && grep -qE -- "$pattern" "$ERR"
    result $? "$name"
}

# prints NAME PATTERN: the output of the last command has a line that matches.
prints() {
    grep -qE -- "$2" "$OUT"
    result $? "$1"
}

# is NAME TEST...: as the shell's test.
is() {
    local name=$1
    shift
    test "$@"
    result $? "$name"
}

# fashion N: a small Fashion-MNIST in $FASHION, N pictures for each part; made once.
fashion() {
    FASHION=$PWD/$BUILD/data/fashion-$1
    [[ -f $FASHION/fashion.data ]] || { mkdir -p "$FASHION" && "$BUILD/fashion" -n "$1" "$FASHION" >/dev/null; }
}

# pieces N: a small set for detectors in $PIECES, N pictures for each part; made once.
pieces() {
    fashion 200
    PIECES=$PWD/$BUILD/data/pieces-$1
    [[ -f $PIECES/pieces.data ]] || "$BUILD/pieces" -n "$1" "$FASHION" "$PIECES" >/dev/null
}

finish() {
    echo "1..$count"
    exit $((bad > 0))
}
