#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Stopped trainings: that they go on bit for bit, after kill -9 at random moments and
# after a full disk too; what is refused and how it is said; rotation of checkpoints.
# KILLS=30: how many times kill -9 is tried.
source tests/e2e/lib.sh
fashion 200
pieces 200
cd "$WORK" || exit 2
KILLS=${KILLS:-30}

data() { # data FOLDER: FOLDER.data, whose backup is FOLDER
    mkdir -p "$1"
    sed "s|^backup.*|backup = $1|" "$FASHION/fashion.data" >"$1.data"
}
net() { # net NAME MAX_BATCHES [KEYS OF [net]...]
    local name=$1 most=$2
    shift 2
    printf '%s\n' '[net]' batch=8 subdivisions=2 width=28 height=28 channels=3 learning_rate=0.01 momentum=0.9 \
        "max_batches=$most" "$@" '[convolutional]' batch_normalize=1 filters=4 size=3 stride=2 pad=1 activation=leaky \
        '[convolutional]' filters=8 size=3 stride=2 pad=1 activation=relu '[avgpool]' '[dropout]' probability=.3 \
        '[connected]' output=10 activation=linear '[softmax]' groups=1 >"$name.cfg"
}
# shellcheck disable=SC2317 # called through passes
train() { # train FOLDER NAME ...
    local folder=$1 name=$2
    shift 2
    "$DPF" classifier train "$folder.data" "$name.cfg" -novalid -threads 1 "$@"
}
# All columns but the speed.
log() { cut -d, -f1-5,7,8 "$1"; }
same() { # same FOLDER FOLDER NAME
    cmp "$1/$3_final.weights" "$2/$3_final.weights" && cmp "$1/$3_last.weights" "$2/$3_last.weights" &&
        cmp <(log "$1/$3_log.csv") <(log "$2/$3_log.csv")
}
# The file with one byte changed.
damage() { printf '\x55' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
dpf=('[dpf]' sparsity=0.8 update_every=7)

# Going on is bit for bit
data whole
data parts
net sgd 60 && printf '%s\n' "${dpf[@]}" >>sgd.cfg
net adam 60 adam=1 B1=0.9 B2=0.99 eps=1e-5 policy=poly power=2 burn_in=10 && printf '%s\n' "${dpf[@]}" \
    scope=layer >>adam.cfg
net size 44 random=1 && # the sizes go up to 448, and change at iteration 40
    sed -i 's/^batch=8/batch=2/; s/^subdivisions=2/subdivisions=1/' size.cfg && printf '%s\n' "${dpf[@]}" feedback=0 >>size.cfg
net dense 40
for name in sgd adam size dense; do
    passes "$name: without a stop" train whole $name -seed 5 -save_every 19 -keep 9
    cp whole/${name}_38.* parts && cp whole/${name}_log.csv parts
    passes "$name: from iteration 38 on" train parts $name parts/${name}_38.weights
    prints "$name: says so" '^Going on at iteration 38 of .* as if it had not been stopped$'
    is "$name: the same weights and log" "$(same whole parts $name && echo same)" = same
done

# On the sparse kernels too, with two threads; they are in use if without them other bits come out
printf '%s\n' '[net]' batch=32 subdivisions=1 width=28 height=28 channels=3 learning_rate=0.01 momentum=0.9 max_batches=24 \
    '[convolutional]' batch_normalize=1 filters=32 size=3 stride=2 pad=1 activation=leaky \
    '[convolutional]' batch_normalize=1 filters=64 size=3 stride=1 pad=1 activation=leaky \
    '[convolutional]' batch_normalize=1 filters=32 size=3 stride=2 pad=1 activation=leaky '[avgpool]' \
    '[connected]' output=10 activation=linear '[softmax]' groups=1 '[dpf]' sparsity=0.95 update_every=3 end=10 >thin.cfg
passes "thin: without a stop" train whole thin -seed 5 -save_every 7 -keep 9 -threads 2
cp whole/thin_14.* parts && cp whole/thin_log.csv parts
passes "thin: from iteration 14 on" train parts thin parts/thin_14.weights -threads 2
is "thin: the same weights and log" "$(same whole parts thin && echo same)" = same
cp whole/thin_14.* parts && cp whole/thin_log.csv parts
passes "thin: dense kernels" train parts thin parts/thin_14.weights -threads 2 -kernels dense
is "thin: sparse kernels were in use" "$(cmp -s whole/thin_last.weights parts/thin_last.weights; echo $?)" = 1

# Detectors too
boxes() { # boxes NAME FOLDER ...
    sed "s|^backup.*|backup = $2|" "$PIECES/pieces.data" >boxes.data
    exec "$DPF" detector train boxes.data "$1.cfg" -novalid -threads 1 "${@:3}"
}
printf '%s\n' '[net]' batch=4 subdivisions=2 width=96 height=96 channels=3 learning_rate=0.002 momentum=0.9 \
    max_batches=24 hue=.05 saturation=1.2 exposure=1.2 '[convolutional]' batch_normalize=1 filters=8 size=3 stride=4 \
    pad=1 activation=leaky '[convolutional]' filters=16 size=3 stride=4 pad=1 activation=linear '[yolo]' mask=0,1 \
    anchors=24,26,38,38 classes=3 num=2 jitter=.1 ignore_thresh=.6 truth_thresh=1 "${dpf[@]}" >boxes.cfg
(boxes boxes whole -seed 4 -save_every 10 -keep 9) >"$OUT" 2>"$ERR"
result $? "detector: without a stop"
cp whole/boxes_10.* parts && cp whole/boxes_log.csv parts
(boxes boxes parts parts/boxes_10.weights) >"$OUT" 2>"$ERR"
result $? "detector: from iteration 10 on"
prints "detector: says so" '^Going on at iteration 10 of .* as if it had not been stopped$'
is "detector: the same weights and log" "$(same whole parts boxes && echo same)" = same

# With random=1 a size holds for ten iterations (the last 200 have the largest), and 15 is in the middle
sed 's/^batch.*/batch=2/; s/^jitter=/random=1\n&/; s/^max_batches.*/max_batches=400/; s/^learning_rate.*/learning_rate=0.00001/' \
    boxes.cfg >sizes.cfg
until_30() { # until_30 FOLDER ...: is stopped when iteration 30 is saved
    local i
    boxes sizes "$@" >"$OUT" 2>"$ERR" </dev/null &
    for ((i = 0; i < 1200; i++)); do
        [[ ! -e $1/sizes_30.weights ]] || break
        sleep 0.1
    done
    kill -TERM $! && wait $!
}
until_30 whole -seed 4 -save_every 15 -keep 9
is "sizes change" "$(grep -A 1 Resizing "$OUT" | grep -E '^[0-9]+$' | sort -u | wc -l)" -ge 2
cp whole/sizes_15.* parts && cp whole/sizes_log.csv parts
until_30 parts parts/sizes_15.weights -save_every 15 -keep 9
prints "several sizes: goes on" '^Going on at iteration 15 of .* as if it had not been stopped$'
is "several sizes: the same weights" "$(cmp whole/sizes_30.weights parts/sizes_30.weights && echo same)" = same

# Without a state, and longer
cp whole/sgd_38.weights parts/alone_38.weights
passes "without a state" train parts sgd parts/alone_38.weights -seed 5
is "what starts anew is said" "$(grep -c "no .state file beside 'parts/alone_38.weights': momentum, the mean loss, masks and" "$ERR")" = 1
is "and it is another training then" "$(cmp -s whole/sgd_last.weights parts/sgd_last.weights; echo $?)" = 1
net sgd 80 && printf '%s\n' "${dpf[@]}" >>sgd.cfg
passes "training longer" train parts sgd whole/sgd_last.weights
is "is said" "$(grep -c 'max_batches is 80 now, it was 60' "$ERR")" = 1
is "the ramp stays where it was" "$(awk -F, 'NR > 32 && $5 < 0.79' parts/sgd_log.csv | wc -l)" = 0
net sgd 60 && printf '%s\n' "${dpf[@]}" >>sgd.cfg

# What does not fit is refused, and nothing is written
before=$(cat whole/* | cksum)
from=whole/sgd_38.weights
sed 's/filters=8/filters=8\n#/; s/momentum=0.9/momentum=0.8/' sgd.cfg >other.cfg
fails "another cfg" "other.cfg:8: 'momentum=0.8' of net is 'momentum=0.9' there; delete it .* or .* -clear" train whole other $from
fails "no [dpf]" "'\[dpf\]' is there, but no longer" train whole sgd $from -dense
fails "another seed" "-seed 6: the training of '$from' was begun with -seed 5" train whole sgd $from -seed 6
list=$(sed -n 's/^train *= *//p' whole.data)
sed 1d "$list" >short.list && sed "s|^train.*|train = short.list|" whole.data >short.data
fails "a shorter list" "short.list: .*199 pictures, it had 200 .*delete" train short sgd $from
tac "$list" >turned.list && sed "s|^train.*|train = turned.list|" whole.data >turned.data
fails "another order" "turned.list: .*other paths, or in another order" train turned sgd $from
cp whole/sgd_38.weights whole/sgd_38.state parts
damage parts/sgd_38.state 500
fails "a damaged state" "parts/sgd_38.state: damaged: .*; delete it .* or .* -clear" train whole sgd parts/sgd_38.weights
head -c 700 whole/sgd_38.state >parts/sgd_38.state
fails "half a state" "parts/sgd_38.state: cut off: 700 bytes of .*; delete it" train whole sgd parts/sgd_38.weights
cp whole/sgd_38.state parts && cp whole/sgd_19.weights parts/sgd_38.weights
fails "a state of other weights" "was not written with 'parts/sgd_38.weights' .*; delete it" train whole sgd parts/sgd_38.weights
is "all of this has written nothing" "$(cat whole/* | cksum)" = "$before"
passes "-clear" train parts sgd $from -clear
is "does not use it" "$(grep -c -- "-clear: the .state file beside '$from' is not used" "$ERR")" = 1
mkdir -p end && data end && cp whole/sgd_last.* whole/sgd_log.csv end && cp whole/sgd_last.state end/sgd_last.state.old
passes "killed before the finished model was written" train end sgd end/sgd_last.weights
is "and the older state was removed" "$(echo end/*.old)" = 'end/*.old'
prints "says that nothing is left to train" '^All 60 iterations are trained already: only the finished model .* written again; -clear starts at iteration 0$'
is "the finished model is the same" "$(same whole end sgd && echo same)" = same
rm end/sgd_last.state
fails "without its state: nothing is left to train" 'there is nothing left to train; -clear starts at iteration 0' train end sgd end/sgd_last.weights
passes "pruned weights" train parts sgd whole/sgd_final.weights -clear
prints "the ramp starts at their sparsity" '^The weights are 80\.[0-9]+ % sparse already .*: the ramp starts there'
is "and stays there" "$(awk -F, 'NR > 1 && $5 < 0.79' parts/sgd_log.csv | wc -l)" = 0

# Rotation
data keep
echo mine >keep/dense_5.weights
net dense 20
passes "-keep" train keep dense -seed 1 -save_every 3 -keep 2
is "the newest and what is not ours" "$(cd keep && echo dense_*[0-9].*)" = "dense_15.state dense_15.weights dense_18.state dense_18.weights dense_5.weights"

# Killed at random moments: $KILLS times, with a checkpoint after each iteration
data kill
net kill 30 && printf '%s\n' "${dpf[@]}" >>kill.cfg
passes "a training that is not killed" train whole kill -seed 3 -save_every 1
RANDOM=7
hits=0 good=0 killed=0
length=$(sed -n "s/.* iterations in \([0-9]*\)\.\([0-9]\) s,.*/\1\200/p" "$OUT") # ms
length=$((10#${length:-200} + 50))
for ((i = 0; i < KILLS; i++)); do
    rm -rf kill out && mkdir kill
    "$DPF" classifier train kill.data kill.cfg -novalid -threads 1 -seed 3 -save_every 1 >out 2>err </dev/null &
    job=$!
    for _ in $(seq 2000); do grep -q '^1, ' out 2>/dev/null && break; sleep 0.005; done
    at=$((RANDOM % length))
    sleep "$((at / 1000)).$(printf %03d $((at % 1000)))"
    kill -9 $job 2>/dev/null && killed=$((killed + 1))
    wait $job 2>/dev/null
    [[ -n $(find kill -name '*.tmp' -o -name '*.old') ]] && hits=$((hits + 1))
    from=()
    [[ -e kill/kill_last.weights ]] && from=(kill/kill_last.weights)
    # all is written when the report is
    if [[ ! -e kill/kill_report.html ]] && ! train kill kill "${from[@]}" -seed 3 >out 2>err </dev/null; then
        echo "# killed after $at ms:" && sed 's/^/# /' err
    elif [[ -n $(find kill -name '*.tmp' -o -name '*.old') ]]; then
        echo "# killed after $at ms: left $(echo kill/*)"
    elif ! same whole kill kill; then
        echo "# killed after $at ms: differs"
    else
        good=$((good + 1))
    fi
done
echo "# killed $killed times, $hits of them while a file was being replaced"
is "killed at any moment, a training ends as if it had not been" $good = "$KILLS"

# A disk that is full in the middle: the pair stays whole, and with room it goes on. (The limit holds
# for the output too, hence the pipes.)
fill() { # fill FOLDER NAME BYTES: no file may become longer, from iteration 5 on
    rm -f out err # else an earlier run's lines are taken for those of this one
    "$DPF" classifier train "$1.data" "$2.cfg" -novalid -threads 1 -seed 3 -save_every 1 \
        > >(cat >out) 2> >(cat >err) </dev/null &
    job=$!
    for _ in $(seq 12000); do grep -q '^5, ' out 2>/dev/null && break; sleep 0.005; done
    prlimit --pid $job --fsize="$3"
    status=0
    wait $job || status=$?
    for _ in $(seq 200); do grep -q 'writing failed' err && break; sleep 0.02; done
}
disk() { net disk "$1" && printf '%s\n' "${dpf[@]}" end=15 >>disk.cfg; }
rm -rf kill && mkdir kill
disk 100000
fill kill disk 1000
is "full disk: status" $status = 1
is "full disk: message" "$(grep -cE 'disk_last.(state|weights): writing failed: File too large; the old file' err)" = 1
is "full disk: nothing half done" "$(find kill -name '*.tmp' -o -name '*.old' | wc -l)" = 0
more=$(($(tail -n 1 kill/disk_log.csv | cut -d, -f1) + 10))
disk $more
passes "full disk: then it goes on" train kill disk kill/disk_last.weights
passes "full disk: without one" train whole disk -seed 3
is "full disk: it ends as if nothing had been" "$(same whole kill disk && echo same)" = same

# Only the log and the report are too long for the disk: 300 iterations are more than 8 kB
net log 300
fill keep log 8000
is "full log: status" "$status" = 1
is "full log: is said once" "$(grep -c "log 'keep/log_log.csv': File too large; training goes on" err)" = 1
is "full log: all iterations are trained" "$(grep -c '^300, ' out)" = 1
is "full log: it ends with a whole line" "$(tail -n 1 keep/log_log.csv | grep -cE '^[0-9]+,.*,[0-9]+,?$')" = 1
is "full log: the model is there" -s keep/log_final.weights

finish
