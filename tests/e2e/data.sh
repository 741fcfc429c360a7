# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The two makers of lists: data/fashion.c and data/make-lists.sh.
source tests/e2e/lib.sh

maker=$BUILD/fashion
source_files=/usr/share/datasets/fashion-mnist

# The first bytes of IDX files, written by hand: big-endian magic, count, sides.
idx_images() { printf '\0\0\010\003\0\0\0\002\0\0\0\034\0\0\0\034'; }
idx_labels() { printf '\0\0\010\001\0\0\0\002'; }
pixels() { head -c $((2 * 784)) /dev/zero; }

# A folder with 2 pictures a part; $1 is its name.
small_source() {
    mkdir -p "$WORK/$1"
    for part in train t10k; do
        { idx_images && pixels; } | gzip >"$WORK/$1/$part-images-idx3-ubyte.gz"
        { idx_labels && printf '\007\006'; } | gzip >"$WORK/$1/$part-labels-idx1-ubyte.gz"
    done
}

passes "fashion: real files, first 20 pictures" "$maker" -n 20 -s "$source_files" "$WORK/real"
is "20 pictures a part" "$(find "$WORK/real" -name '*.png' | wc -l)" = 40
is "a list has a line a picture" "$(wc -l <"$WORK/real/train.list")" = 20
once=0
while IFS= read -r path; do
    hits=0
    while IFS= read -r label; do [[ $path == *"$label"* ]] && hits=$((hits + 1)); done <"$WORK/real/labels.list"
    [[ $hits == 1 && -f $path ]] || once=1
done < <(cat "$WORK/real/train.list" "$WORK/real/test.list")
is "each path exists and holds exactly one label" $once = 0
is "the first training picture is an ankle boot" "$(head -n 1 "$WORK/real/train.list")" = "$WORK/real/train/00000_ankleboot.png"
is "the data file names the lists" "$(sed -n 's/^valid *= *//p' "$WORK/real/fashion.data")" = "$WORK/real/test.list"

small_source good
passes "fashion: two pictures made here" "$maker" -s "$WORK/good" "$WORK/out"
is "class 7 is a sneaker, class 6 a shirt" "$(find "$WORK/out/train" -type f -printf "%f\n" | sort | tr '\n' ' ')" = "00000_sneaker.png 00001_shirt.png "
fails "a target that holds a label" "holds a class label" "$maker" -s "$WORK/good" "$WORK/my_bag.d"
fails "no source folder" "cannot open .*train-images" "$maker" -s "$WORK/nowhere" "$WORK/out2"

small_source cut
gzip -dc "$WORK/good/train-images-idx3-ubyte.gz" | head -c 1000 | gzip >"$WORK/cut/train-images-idx3-ubyte.gz"
fails "pictures cut short" "ends too early" "$maker" -s "$WORK/cut" "$WORK/out2"
small_source long
{ idx_labels && printf '\001\002\003'; } | gzip >"$WORK/long/t10k-labels-idx1-ubyte.gz"
fails "labels too long" "longer than its header" "$maker" -s "$WORK/long" "$WORK/out2"
small_source magic
{ printf '\0\0\010\001\0\0\0\002' && pixels; } | gzip >"$WORK/magic/train-images-idx3-ubyte.gz"
fails "wrong magic" "magic" "$maker" -s "$WORK/magic" "$WORK/out2"
small_source class
{ idx_labels && printf '\001\012'; } | gzip >"$WORK/class/train-labels-idx1-ubyte.gz"
fails "a label past 9" "not between 0 and 9" "$maker" -s "$WORK/class" "$WORK/out2"
small_source damaged
head -c 60 "$WORK/good/train-labels-idx1-ubyte.gz" | head -c 20 >"$WORK/damaged/train-labels-idx1-ubyte.gz"
fails "a damaged gzip file" "cannot (read|use)" "$maker" -s "$WORK/damaged" "$WORK/out2"
is "no data file after an error" ! -e "$WORK/out2/fashion.data"

mkdir -p "$WORK"/tree/{train,test}/{cat,dog}
touch "$WORK"/tree/{train,test}/{cat,dog}/1.jpg
passes "make-lists: a small tree" data/make-lists.sh "$WORK/tree" "$WORK/lists" pets
is "labels have both slashes" "$(tr '\n' ' ' <"$WORK/lists/labels.list")" = "/cat/ /dog/ "
is "2 classes in the data file" "$(sed -n 's/^classes = //p' "$WORK/lists/pets.data")" = 2
mkdir -p "$WORK/cat" && cp -r "$WORK/tree" "$WORK/cat/tree"
fails "make-lists: a class in the path above" "every picture" data/make-lists.sh "$WORK/cat/tree" "$WORK/lists2"
rm -r "$WORK/tree/train/dog"
fails "make-lists: a class in test only" "not in train" data/make-lists.sh "$WORK/tree" "$WORK/lists2"
fails "make-lists: no such folder" "no such folder" data/make-lists.sh "$WORK/none" "$WORK/lists2"

finish
