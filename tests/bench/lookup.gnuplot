# SPDX-License-Identifier: LGPL-2.1-or-later
# The time of a lookup against the number of mappings: gnuplot lookup.gnuplot
set terminal svg size 720,380 font "sans-serif,13" background "#ffffff"
set output "lookup.svg"
set logscale x
set format x "10^{%T}"
set xlabel "mappings"
set ylabel "one lookup, p50, microseconds"
set yrange [0:*]
set xrange [500:2000000]
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key left bottom
plot "lookup.dat" using 1:3 with linespoints lw 2 pt 7 lc rgb "#1f5fa8" title "hit", \
     "" using 1:4 with linespoints lw 2 pt 5 lc rgb "#b5552b" title "miss", \
     "" using 1:2 with linespoints lw 2 pt 9 lc rgb "#777777" title "raw exchange of the same bytes"
