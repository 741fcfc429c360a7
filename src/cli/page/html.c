/* SPDX-License-Identifier: MIT
 *
 * See html.h.
 */
#include "html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dpf/model/file.h"

/* Colours are variables, so that dark mode and print are a dozen lines. Print is
 * always light: nobody wants a black sheet. --c0 to --c5 tell series apart for
 * people who see red and green alike, too. */
static const char colours[] =
    ":root{--page:#f6f7f9;--card:#fff;--ink:#1b2430;--dim:#5c6773;--line:#e1e5ea;--grid:#e8ebef;"
    "--c0:#2b6cb0;--c1:#d9772b;--c2:#2a9187;--c3:#b8487c;--c4:#7a62c4;--c5:#8a7a3c;--mute:#a9b3be}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--page:#12161c;--card:#1a2028;--ink:#e4e8ed;"
    "--dim:#98a3b0;--line:#2b333e;--grid:#29313b;--c0:#6aa7e8;--c1:#eb9a56;--c2:#56bfb3;--c3:#e083b0;"
    "--c4:#a996ea;--c5:#c4b36d;--mute:#5f6b79}}\n";

static const char page_style[] =
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',"
    "'Helvetica Neue',Arial,'Liberation Sans',sans-serif}\n"
    "main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}\n"
    "h1{font-size:26px;line-height:1.25;margin:0 0 4px;font-weight:650;overflow-wrap:anywhere}\n"
    "h2{font-size:15px;margin:0;font-weight:650}\n"
    "p{margin:0}.dim{color:var(--dim)}.small{font-size:13px}\n"
    ".grid{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:16px;margin-top:16px}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px 18px;margin:0;"
    "min-width:0;break-inside:avoid}\n"
    ".wide{grid-column:1/-1}.flow{break-inside:auto}\n"
    ".card>p{margin-top:2px}.card>svg{display:block;width:100%;height:auto;margin-top:10px}\n"
    ".card>svg.phone{display:none}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:1px;margin-top:20px;background:var(--line);"
    "border:1px solid var(--line);border-radius:8px;overflow:hidden}\n"
    ".tile{flex:1 1 132px;background:var(--card);padding:11px 14px 12px;min-width:0}\n"
    ".tile b{display:block;font-size:21px;line-height:1.35;font-weight:600;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}\n"
    ".tile span{display:block;color:var(--dim);font-size:13px;line-height:1.4;overflow-wrap:anywhere}\n"
    ".scroll{overflow-x:auto;margin-top:10px}\n"
    "table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:4px 0 4px 18px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}\n"
    "th{color:var(--dim);font-weight:500;font-size:13px;border-color:var(--line)}\n"
    "th:first-child,td:first-child{padding-left:0}.text{text-align:left}\n"
    "tr.muted td{color:var(--dim)}tr:last-child td{border-bottom:0}\n"
    "tfoot td{font-weight:600}tfoot tr:first-child td{border-top:1px solid var(--dim)}\n"
    "pre{margin:10px 0 0;font:13px/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "@media (max-width:860px){.grid{grid-template-columns:minmax(0,1fr);gap:12px}.card>svg{max-width:680px}"
    ".card>svg.desk{max-width:none}}\n"
    "@media (max-width:560px){main{padding:18px 12px 32px}.card{padding:13px 12px}h1{font-size:22px}"
    ".tile{flex-basis:40%}th,td{padding-left:12px}.card>svg.desk{display:none}.card>svg.phone{display:block}}\n"
    "@media print{body{background:#fff;font-size:10pt}main{max-width:none;padding:0}}\n";

static int reserve(html_text *text, size_t more) {
    if (text->failed)
        return 0;
    if (more < text->capacity - text->length)
        return 1;
    size_t capacity = text->capacity ? text->capacity : 4096;
    while (capacity - text->length <= more) {
        if (capacity > (size_t)-1 / 2) {
            text->failed = 1;
            return 0;
        }
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = 1;
        return 0;
    }
    text->data = data;
    text->capacity = capacity;
    return 1;
}

static void put(html_text *text, const char *bytes, size_t count) {
    if (!reserve(text, count))
        return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = 0;
}

void html_free(html_text *text) {
    free(text->data);
    *text = (html_text){0};
}

void html_raw(html_text *text, const char *markup) {
    put(text, markup, strlen(markup));
}

void html_print(html_text *text, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (length < 0)
        text->failed = 1;
    else if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

/* Length of the well-formed UTF-8 sequence at s, 0 when there is none. Surrogates,
 * overlong forms and U+FFFE/U+FFFF are not characters of XML. */
static size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f) || (s[0] == 0xef && s[1] == 0xbf && s[2] > 0xbd))
        return 0;
    return length;
}

void html_escape(html_text *text, const char *string) {
    const unsigned char *s = (const unsigned char *)(string ? string : "");
    while (*s) {
        size_t length = utf8_length(s);
        if (*s == '&')
            html_raw(text, "&amp;");
        else if (*s == '<')
            html_raw(text, "&lt;");
        else if (*s == '>')
            html_raw(text, "&gt;");
        else if (*s == '"')
            html_raw(text, "&quot;");
        else if (*s == '\'')
            html_raw(text, "&#39;");
        else if (!length || (*s < 32 && *s != '\t' && *s != '\n') || *s == 127)
            html_raw(text, "\xef\xbf\xbd");
        else
            put(text, (const char *)s, length);
        s += length ? length : 1;
    }
}

void html_coordinate(html_text *text, double value) {
    if (!(value == value))
        value = 0;
    value = value > 9999 ? 9999 : value < -9999 ? -9999 : value;
    long tenths = lround(value * 10);
    long whole = labs(tenths) / 10, part = labs(tenths) % 10;
    const char *sign = tenths < 0 ? "-" : "";
    if (part)
        html_print(text, "%s%ld.%ld", sign, whole, part);
    else
        html_print(text, "%s%ld", sign, whole);
}

char *html_fixed(char *out, size_t size, double value, int decimals) {
    char digits[400];
    if (!isfinite(value)) {
        snprintf(out, size, "-");
        return out;
    }
    snprintf(digits, sizeof digits, "%.*f", decimals, fabs(value));
    size_t whole = strspn(digits, "0123456789"), length = strlen(digits), n = 0;
    int negative = value < 0 && strspn(digits, "0123456789") && strpbrk(digits, "123456789") != NULL;
    if (negative && n + 1 < size)
        out[n++] = '-';
    for (size_t i = 0; i < whole && n + 1 < size; i++) {
        out[n++] = digits[i];
        if ((whole - i) % 3 == 1 && i + 1 < whole && n + 1 < size)
            out[n++] = ',';
    }
    /* whatever the locale put between whole and part is a point here */
    if (decimals > 0 && n + 1 < size)
        out[n++] = '.';
    for (size_t i = decimals > 0 ? length - (size_t)decimals : length; i < length && n + 1 < size; i++)
        out[n++] = digits[i];
    out[n] = 0;
    return out;
}

static void strip_zeros(char *number) {
    size_t n = strlen(number);
    if (!strchr(number, '.'))
        return;
    while (n && number[n - 1] == '0')
        number[--n] = 0;
    if (n && number[n - 1] == '.')
        number[n - 1] = 0;
}

char *html_number(char *out, size_t size, double value, int digits) {
    char e[64];
    if (!isfinite(value) || value == 0) {
        snprintf(out, size, value == 0 ? "0" : "-");
        return out;
    }
    /* %e rounds first and knows the exponent after that; log10 would be off by one at 9.9996 */
    snprintf(e, sizeof e, "%.*e", digits - 1, fabs(value));
    const char *letter = strchr(e, 'e');
    int exponent = letter ? atoi(letter + 1) : 0;
    if (exponent >= -4 && exponent < 9) {
        int decimals = digits - 1 - exponent;
        html_fixed(out, size, value, decimals > 0 ? decimals : 0);
        strip_zeros(out);
        return out;
    }
    char mantissa[64];
    size_t part = (size_t)(digits - 1), end = letter ? (size_t)(letter - e) : strlen(e);
    snprintf(mantissa, sizeof mantissa, "%s%c%s%.*s", value < 0 ? "-" : "", e[0], part ? "." : "", (int)part,
             e + end - part);
    strip_zeros(mantissa);
    snprintf(out, size, "%se%d", mantissa, exponent);
    return out;
}

char *html_duration(char *out, size_t size, double seconds) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e12)
        snprintf(out, size, "-");
    else if (seconds < 59.95) { /* what rounds to 60.0 s is a minute */
        html_fixed(out, size, seconds, 1);
        size_t n = strlen(out);
        snprintf(out + n, size - n, " s");
    } else if (seconds < 3599.5)
        snprintf(out, size, "%d min %d s", (int)(round(seconds) / 60), (int)fmod(round(seconds), 60));
    else if (seconds < 48 * 3600.0)
        snprintf(out, size, "%d h %d min", (int)((seconds + 0.5) / 3600), (int)(fmod(seconds + 0.5, 3600) / 60));
    else
        snprintf(out, size, "%lld d %d h", (long long)(seconds / 86400), (int)(fmod(seconds, 86400) / 3600));
    return out;
}

const char *html_colours(void) {
    return colours;
}

void html_page_begin(html_text *text, const char *title, const char *style) {
    html_raw(text, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n"
                   "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    html_escape(text, title);
    html_raw(text, "</title>\n<style>\n");
    html_raw(text, colours);
    html_raw(text, page_style);
    if (style)
        html_raw(text, style);
    html_raw(text, "</style>\n</head>\n<body>\n<main>\n");
}

void html_page_end(html_text *text) {
    html_raw(text, "</main>\n</body>\n</html>\n");
}

dpf_status html_save(const html_text *text, const char *path, dpf_error *err) {
    if (text->failed)
        return dpf_fail_memory(err, text->capacity * 2ULL, path);
    return dpf_file_replace(path, text->data ? text->data : "", text->length, err);
}
