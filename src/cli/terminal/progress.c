/* SPDX-License-Identifier: MIT
 *
 * See progress.h.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static const double REDRAW_SECONDS = 0.1;
enum { FALLBACK_WIDTH = 80, MOST_WIDTH = 200, LEAST_BAR = 6, MOST_BAR = 40 };

static int drawn;
static double drawn_at = -1;

double progress_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_time(double seconds, char *text, size_t size) {
    if (seconds < 60) {
        snprintf(text, size, "%.1f s", seconds);
        return;
    }
    const unsigned long s = (unsigned long)(seconds + 0.5);
    if (s < 3600)
        snprintf(text, size, "%lu m %02lu s", s / 60, s % 60);
    else
        snprintf(text, size, "%lu h %02lu m %02lu s", s / 3600, s / 60 % 60, s % 60);
}

static void eta_text(const progress_state *s, char *text, size_t size) {
    const double done = (double)(s->iteration - s->start);
    if (!s->last || done <= 0) {
        text[0] = 0;
        return;
    }
    const double left = s->elapsed / done * (double)(s->last - s->iteration);
    const unsigned long t = (unsigned long)(left + 0.5);
    if (t < 3600)
        snprintf(text, size, "  ETA %lu:%02lu", t / 60, t % 60);
    else
        snprintf(text, size, "  ETA %lu:%02lu:%02lu", t / 3600, t / 60 % 60, t % 60);
}

enum { MOST_FACTS = 6, FACT_SIZE = 48 };

/* The parts of the line behind the bar, the most wanted first. */
static size_t gather_facts(const progress_state *s, char facts[MOST_FACTS][FACT_SIZE]) {
    size_t n = 0;
    if (s->last)
        snprintf(facts[n++], FACT_SIZE, "%zu/%zu", s->iteration, s->last);
    else
        snprintf(facts[n++], FACT_SIZE, "%zu", s->iteration);
    eta_text(s, facts[n++], FACT_SIZE);
    snprintf(facts[n++], FACT_SIZE, "  loss %.4f", s->average_loss);
    if (s->sparsity >= 0)
        snprintf(facts[n++], FACT_SIZE, "  %.1f %% sparse", 100 * s->sparsity);
    snprintf(facts[n++], FACT_SIZE, "  %.0f img/s", s->images_per_s);
    snprintf(facts[n++], FACT_SIZE, "  rate %.4g", s->rate);
    return n;
}

/* "[###...] " of the given number of cells; returns its length. */
static size_t write_cells(char *text, size_t cells, size_t done, size_t all) {
    size_t at = 0;
    const size_t full = cells * done / all;
    text[at++] = '[';
    for (size_t i = 0; i < cells; i++)
        text[at++] = i < full ? '#' : '.';
    text[at++] = ']';
    text[at++] = ' ';
    text[at] = 0;
    return at;
}

void progress_bar(const progress_state *s, size_t width, char *text, size_t size) {
    char facts[MOST_FACTS][FACT_SIZE];
    size_t n = gather_facts(s, facts), used = 0, at = 0;
    width = width < size ? width : size - 1;
    for (size_t i = 0; i < n; i++)
        used += strlen(facts[i]);
    /* what does not fit is left out from the right: counter and ETA are what one looks for */
    while (n > 1 && used > width)
        used -= strlen(facts[--n]);
    text[0] = 0;
    if (s->last && used + LEAST_BAR + 3 <= width) {
        const size_t cells = width - used - 3;
        at = write_cells(text, cells < MOST_BAR ? cells : MOST_BAR, s->iteration, s->last);
    }
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, width + 1 - at, "%s", facts[i]);
}

static size_t terminal_width(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col - 1u < MOST_WIDTH ? size.ws_col - 1u : MOST_WIDTH; /* the last column wraps */
    return FALLBACK_WIDTH - 1;
}

static void erase(void) {
    if (!drawn)
        return;
    fputs("\r\033[K", stdout);
    fflush(stdout);
    drawn = 0;
}

static void draw(const progress_state *state) {
    const double now = progress_now();
    if (drawn_at >= 0 && now - drawn_at < REDRAW_SECONDS && state->iteration != state->last)
        return;
    char text[MOST_WIDTH + 1];
    progress_bar(state, terminal_width(), text, sizeof text);
    printf("\r%s\033[K", text);
    fflush(stdout);
    drawn = 1;
    drawn_at = now;
    say_set_eraser(erase);
}

void progress_show(const progress_state *s) {
    if (isatty(STDOUT_FILENO)) {
        draw(s);
        return;
    }
    printf("%zu, %.3f: %f, %f avg, %f rate, %f seconds, %zu images", s->iteration, s->epoch, s->loss, s->average_loss,
           s->rate, s->seconds, s->images);
    if (s->sparsity >= 0)
        printf(", %.1f %% sparse", 100 * s->sparsity);
    putchar('\n');
    fflush(stdout);
}

void progress_end(void) {
    if (drawn)
        putchar('\n');
    drawn = 0;
    say_set_eraser(NULL);
    fflush(stdout);
}

int progress_hush(void) {
    if (!isatty(STDOUT_FILENO))
        return -1;
    fflush(stdout);
    const int saved = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (saved >= 0 && null >= 0)
        dup2(null, STDOUT_FILENO);
    if (null >= 0)
        close(null);
    return saved;
}

void progress_unhush(int saved) {
    if (saved < 0)
        return;
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
}
