# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# bench/plot.c: pages and pictures from CSV files, and what it says about bad ones.
source tests/e2e/lib.sh

plot=$BUILD/bench/plot
csv=$WORK/good.csv
cat >"$csv" <<'END'
# CPU <of> & notes
threads,shape,share,ours,"one ""other"""
1,"512, 676",80,3.1,7.1
1,"512, 676",90,1.6,7.1
1,"256, 2704",80,1.5,
1,"256, 2704",90,0.5,2
2,"512, 676",80,1.7,4
2,"512, 676",90,0.9,4
END

has() { # NAME FILE PATTERN
    grep -qF -- "$3" "$2"
    result $? "$1"
}

passes "a page of columns" "$plot" -labels 3 -title 'A <title>' -unit ms "$csv" "$WORK/a.html"
has "title is escaped" "$WORK/a.html" '<h1>A &lt;title&gt;</h1>'
has "notes are escaped" "$WORK/a.html" 'CPU &lt;of&gt; &amp; notes'
has "quotes inside of a cell" "$WORK/a.html" 'one &quot;other&quot;'
has "commas inside of a cell" "$WORK/a.html" '<td class="text">512, 676</td>'
is "one chart, two sizes" "$(grep -c '<svg.* role' "$WORK/a.html")" = 2
passes "a chart for each value" "$plot" -labels 3 -split threads -log -rows "$csv" "$WORK/b.html"
is "two charts, two sizes" "$(grep -c '<svg.* role' "$WORK/b.html")" = 4
passes "lines" "$plot" -labels 3 -line -columns ours "$csv" "$WORK/c.html"
has "lines are told apart by their label" "$WORK/c.html" 'ours · 2 · 512, 676'
passes "a picture" "$plot" "$csv" "$WORK/d.svg"
has "with its name space" "$WORK/d.svg" 'xmlns="http://www.w3.org/2000/svg"'

fails "missing file" 'No such file' "$plot" "$WORK/none.csv" "$WORK/x.html"
fails "no figures" 'no line of figures' "$plot" /dev/null "$WORK/x.html"
printf 'a,b\n1,2\n1,2,3\n' >"$WORK/ragged.csv"
fails "a line with more cells than the head" 'ragged.csv:3: ' "$plot" "$WORK/ragged.csv" "$WORK/x.html"
printf 'a,b\n"1,2\n' >"$WORK/quote.csv"
fails "an open quote" 'quote.csv:2: ' "$plot" "$WORK/quote.csv" "$WORK/x.html"
fails "unknown column to split by" 'no label column' "$plot" -split nothing "$csv" "$WORK/x.html"
fails "unknown column of figures" 'no column of a name' "$plot" -columns ours,nothing "$csv" "$WORK/x.html"
fails "labels only" 'no column is left' "$plot" -labels 5 "$csv" "$WORK/x.html"
fails "a folder that is not there" 'No such file' "$plot" "$csv" "$WORK/none/x.html"
is "no file of a failed run" ! -e "$WORK/x.html"

finish
