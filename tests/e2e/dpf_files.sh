#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `dpf pack`, `unpack` and `verify`: the same bytes come back, damage is told.
source tests/e2e/lib.sh
cd "$WORK" || exit 2

printf '%s\n' '[net]' width=8 height=8 channels=3 '[convolutional]' filters=64 size=3 '[convolutional]' filters=32 \
    size=1 >net.cfg
# 0.2.5, 7 seen, 64 + 64*27 + 32 + 32*64 floats: nine zeros, then one that is not
{
    printf '\0\0\0\0\2\0\0\0\5\0\0\0\7\0\0\0\0\0\0\0'
    for ((i = 0; i < 3872; i++)); do
        printf -v low '%02x' $((i % 256))
        if ((i % 10 == 9)); then printf '%b' "\\x$low\\x1f\\x80\\x3f"; else printf '\0\0\0\0'; fi
    done
} >net.weights

passes "pack" "$DPF" dpf pack net.cfg net.weights net.dpf
prints "pack: says how large" "^net.dpf: [0-9]+ bytes, [0-9.]+ % of net.weights"
passes "verify" "$DPF" dpf verify net.dpf
prints "verify: says what is in it" "good; 3872 parameters, 37[0-9] of 3776 weights"
passes "unpack" "$DPF" dpf unpack net.dpf back.cfg back.weights
passes "the same cfg" cmp net.cfg back.cfg
passes "the same weights" cmp net.weights back.weights
passes "pack -half" "$DPF" dpf pack net.cfg net.weights half.dpf -half
passes "verify -half" "$DPF" dpf verify half.dpf
prints "verify: says float16" "float16$"
test "$(stat -c %s half.dpf)" -lt "$(stat -c %s net.dpf)"
result $? "-half is smaller"

head -c 300 net.dpf >cut.dpf
fails "cut off" "cut.dpf: cut off" "$DPF" dpf verify cut.dpf
cp net.dpf bad.dpf
printf x | dd of=bad.dpf bs=1 seek=400 conv=notrunc status=none
fails "damaged" "bad.dpf: damaged" "$DPF" dpf unpack bad.dpf no.cfg no.weights
test ! -e no.cfg && test ! -e no.weights
result $? "damaged: nothing is written"
printf 'no .dpf at all' >text.dpf
fails "by its name: predict" "text.dpf: not a .dpf file" "$DPF" dpf predict text.dpf picture.jpg
fails "by its name: bench" "text.dpf: not a .dpf file" "$DPF" dpf bench text.dpf
fails "not a .dpf" "net.weights: not a .dpf file" "$DPF" dpf verify net.weights
sed 's/filters=32/filters=33/' net.cfg >other.cfg
fails "weights of another cfg" "too short for other.cfg" "$DPF" dpf pack other.cfg net.weights other.dpf
fails "no verb" "'dpf' wants to know" "$DPF" dpf
passes "help" "$DPF" dpf -h
prints "lists the verbs" '^  darknet dpf convert CFG WEIGHTS OUT'
passes "help of a verb" "$DPF" dpf convert --help
prints "lists its flags" '-data DATA \[-recalibrate N\]'
fails "wrong verb" "did you mean 'pack'" "$DPF" dpf pakc
fails "too few words" "usage: darknet dpf pack" "$DPF" dpf pack net.cfg net.weights
finish
