/* SPDX-License-Identifier: MIT
 *
 * Text of HTML pages and SVG pictures: a buffer that grows, escaping, numbers for
 * people, and one frame (head, style sheet, foot) for every page that we write.
 *
 * What must stay true: a page needs nothing but itself (no script, no link, no
 * font), it is well-formed XML, strings from outside go through html_escape, and
 * no number depends on the locale (an image library may have set one).
 */
#ifndef DPF_CLI_HTML_H
#define DPF_CLI_HTML_H

#include <stddef.h>

#include "../../dpf/core/error.h"

/* Starts as {0}. The first failed allocation sets `failed`; every later call is
 * then without effect, so that only html_save needs to be checked. */
typedef struct html_text {
    char *data; /* terminated, NULL while empty */
    size_t length, capacity;
    int failed;
} html_text;

void html_free(html_text *text);

/* Markup as it stands. */
void html_raw(html_text *text, const char *markup);

/* Markup from a format. Integers and trusted strings only: %f knows locales. */
void html_print(html_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text or an attribute's value. Bytes that are not UTF-8 and control characters
 * other than tab and newline become U+FFFD. NULL is the empty string. */
void html_escape(html_text *text, const char *string);

/* A coordinate, rounded to a tenth; NaN is 0, and what lies far outside of any
 * picture is brought back to +-9999, where it is still outside. */
void html_coordinate(html_text *text, double value);

/* The three below write a terminated string of at most `size` bytes (32 is always
 * enough) and return `out`; "-" stands for NaN and infinity. */

/* 1234567.891, 1 -> "1,234,567.9". */
char *html_fixed(char *out, size_t size, double value, int decimals);

/* At most `digits` significant digits, no zeros at the end: "0.0125", "12,345",
 * "1.5e-7". Whole numbers below a million keep all of their digits. */
char *html_number(char *out, size_t size, double value, int digits);

/* "1 h 23 min", "4 min 5 s", "12.3 s". */
char *html_duration(char *out, size_t size, double seconds);

/* The part of the style sheet that sets the colours, light and dark. */
const char *html_colours(void);

/* Head, style sheet and <main>; then </main> and the end. `style` is added to the
 * sheet of the page (see chart_style) and may be NULL. */
void html_page_begin(html_text *text, const char *title, const char *style);
void html_page_end(html_text *text);

/* Replaces the file in one step: the old one is whole until the new one is. */
dpf_status html_save(const html_text *text, const char *path, dpf_error *err);

#endif
