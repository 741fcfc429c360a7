/* SPDX-License-Identifier: MIT
 *
 * Charts as SVG text: lines, steps, points, stems and bars over a numeric x axis,
 * grouped or stacked columns over named categories, and horizontal bars with
 * their numbers. A chart is a struct that starts as {0}; drawing appends one
 * <svg> element to a page.
 *
 * What must stay true: any input draws something sensible. Values that are not
 * finite (or not above 0 on a log axis) leave a gap, no points at all leave an
 * empty frame with "no data", long series are reduced to what a screen can show
 * (every spike stays visible), names are cut to the room they have (the whole
 * name is in the hover text), and labels never run into each other.
 */
#ifndef DPF_CLI_CHART_H
#define DPF_CLI_CHART_H

#include <stddef.h>

#include "html.h"

typedef enum chart_mark {
    CHART_LINE = 0,
    CHART_STEP,   /* holds its value until the next x */
    CHART_POINTS, /* a line with a dot at each point */
    CHART_STEMS,  /* a thin line from the base to each value */
    CHART_BARS    /* adjoining bars; too many are put together, each the mean of its values */
} chart_mark;

#define CHART_COLOURS 6 /* 0 to 5; more series than that repeat them */
#define CHART_MUTED (-1)

typedef struct chart_series {
    const char *name;
    const double *x; /* ascending, NULL: 0, 1, 2, ... Not read by chart_columns and chart_rows */
    const double *y;
    size_t count;
    chart_mark mark;
    int colour;
    int faint;      /* behind the others: raw values under their average */
    int mean;       /* too many points for the screen: drawn as means, not as lowest and highest */
    int dashed;     /* a target or a limit */
    int label_last; /* the last value as a number at the right edge */
} chart_series;

typedef struct chart_axis {
    const char *label; /* "iteration", "ms"; NULL: none */
    const char *unit;  /* set after each number, as "%"; NULL: none */
    int log;
    int integer;          /* no ticks between whole numbers */
    int robust;           /* y: the axis ends near the 98th percentile, the few values above leave through the top */
    int decimals;         /* of numbers beside bars and in hover texts; 0: up to four significant digits */
    int has_min, has_max; /* else the ends follow from the data */
    double min, max;
} chart_axis;

typedef struct chart {
    const char *title;       /* inside the picture, for pictures that stand alone; NULL: none */
    const char *description; /* what a screen reader says */
    double width, height;    /* in pixels at full size; chart_rows finds its own height */
    int phone;               /* plan for text that the style sheet enlarges on narrow screens */
    const char *class_name;  /* of the <svg>: "desk" and "phone" for two drawings of one wide chart; NULL: none */
    int standalone;          /* a file of its own: adds the name space and the style sheet */
    chart_axis x, y;         /* chart_rows: y is the axis of the values, though it lies down */
    const chart_series *series;
    size_t series_count;
    int stacked;                   /* bars on top of each other; the series must then have the same x */
    const char *const *categories; /* chart_columns, chart_rows: names; each series has `categories_count` values */
    size_t categories_count;
    const unsigned char *muted; /* per category: grey, as not taking part; NULL: none */
} chart;

/* Numeric x: series of any mark, mixed. */
void chart_plot(html_text *out, const chart *chart);

/* Categories along x, one column for each series beside (or upon) each other. */
void chart_columns(html_text *out, const chart *chart);

/* Categories down the page, one bar for each series, its number behind it. */
void chart_rows(html_text *out, const chart *chart);

/* The style sheet of the elements above, for html_page_begin. */
const char *chart_style(void);

#endif
