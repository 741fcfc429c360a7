#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Lists, labels and a data file for a folder of pictures sorted by class:
#
#   data/make-lists.sh DIR OUT [NAME]
#
#   DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg (or .png)
#   OUT/NAME.data, train.list, test.list, labels.list, names.list, backup/
#
# or, for a detector, a folder as Pascal VOC has it, with Darknet's label files:
#
#   DIR/JPEGImages/*.jpg, DIR/labels/*.txt, DIR/ImageSets/Main/{trainval,test}.txt, DIR/classes.names
#   OUT/NAME.data, train.list (of trainval), test.list, names.list, backup/
#
# Darknet looks for each label anywhere in the path of a picture, so the labels are
# "/CLASS/" with both slashes: "cat" would also be found in "/data/concatenated/". A
# class whose label occurs in the path of DIR itself is refused, as is one that stands
# in test only. Lists are sorted: two runs write the same files.
set -euo pipefail

die() {
    echo "make-lists.sh: $1" >&2
    exit 1
}

[ $# = 2 ] || [ $# = 3 ] || die "usage: make-lists.sh DIR OUT [NAME]"
# detector: checks that each picture of a split is there, and has a label file.
detector() {
    local dir=$1 out=$2 name=$3 part split id
    for part in train test; do
        split=$dir/ImageSets/Main/$part.txt
        [ "$part" = test ] || split=$dir/ImageSets/Main/trainval.txt
        [ -f "$split" ] || die "$split: no such file"
        while read -r id; do
            [ -f "$dir/JPEGImages/$id.jpg" ] || die "$split: no picture $dir/JPEGImages/$id.jpg"
            [ -f "$dir/labels/$id.txt" ] || die "$split: no labels $dir/labels/$id.txt"
            echo "$dir/JPEGImages/$id.jpg"
        done <"$split" >"$out/$part.list"
        [ -s "$out/$part.list" ] || die "$split: is empty"
    done
    grep . "$dir/classes.names" >"$out/names.list" || die "$dir/classes.names: one name a line is needed"
    printf '%s\n' "classes = $(wc -l <"$out/names.list")" "train   = $out/train.list" "valid   = $out/test.list" \
        "names   = $out/names.list" "backup  = $out/backup" >"$out/$name.data"
    echo "$out/$name.data: $(wc -l <"$out/names.list") classes, $(wc -l <"$out/train.list") pictures to train, $(wc -l <"$out/test.list") to test"
}
if [ -d "$1/ImageSets/Main" ]; then
    mkdir -p "$2/backup"
    dir=$(realpath "$1")
    [[ $dir != *[[:space:]]* ]] || die "$dir: Darknet drops blanks from lists"
    detector "$dir" "$(realpath "$2")" "${3:-$(basename "$1")}"
    exit
fi

[ -d "$1/train" ] || die "$1/train: no such folder"
[ -d "$1/test" ] || die "$1/test: no such folder"
mkdir -p "$2/backup"
dir=$(realpath "$1")
out=$(realpath "$2")
name=${3:-$(basename "$dir")}
export LC_ALL=C

mapfile -t classes < <(find "$dir/train" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
[ ${#classes[@]} -gt 0 ] || die "$dir/train: no folder in it, one a class is needed"
for class in "${classes[@]}"; do
    [[ $class != *[[:space:]]* ]] || die "class '$class': Darknet drops blanks from lists"
    [[ $dir/train/ != */"$class"/* && $dir/test/ != */"$class"/* ]] ||
        die "class '$class' is also a folder of the path $dir: Darknet would find it in every picture"
done
[[ $dir != *[[:space:]]* ]] || die "$dir: Darknet drops blanks from lists"

for part in train test; do
    find "$dir/$part" -mindepth 2 -maxdepth 2 -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \) |
        sort >"$out/$part.list"
    [ -s "$out/$part.list" ] || die "$dir/$part: no .jpg or .png in its class folders"
done
while IFS= read -r class; do
    [[ " ${classes[*]} " == *" $class "* ]] || die "class '$class' is in test but not in train"
done < <(find "$dir/test" -mindepth 1 -maxdepth 1 -type d -printf '%f\n')

printf '/%s/\n' "${classes[@]}" >"$out/labels.list"
printf '%s\n' "${classes[@]}" >"$out/names.list"
top=5
[ ${#classes[@]} -ge 5 ] || top=${#classes[@]}
cat >"$out/$name.data" <<END
classes = ${#classes[@]}
train   = $out/train.list
valid   = $out/test.list
labels  = $out/labels.list
names   = $out/names.list
backup  = $out/backup
top     = $top
END
echo "$out/$name.data: ${#classes[@]} classes, $(wc -l <"$out/train.list") pictures to train, $(wc -l <"$out/test.list") to test"
