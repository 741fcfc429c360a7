/* SPDX-License-Identifier: MIT
 *
 * Errors as values. The library never prints, exits or aborts: a function that
 * can fail returns a dpf_status and writes one sentence for a human into the
 * dpf_error that the caller passed. The sentence says what was wrong, where
 * (file:line, layer, key), what was got and what is allowed.
 */
#ifndef DPF_CORE_ERROR_H
#define DPF_CORE_ERROR_H

/* The values are part of the binary interface: append, never renumber. */
typedef enum dpf_status {
    DPF_OK = 0,
    DPF_ERR_MEMORY = 1,      /* an allocation failed */
    DPF_ERR_ARGUMENT = 2,    /* the caller broke the contract of a function */
    DPF_ERR_IO = 3,          /* a file could not be opened, read or written; text has errno's reason */
    DPF_ERR_FORMAT = 4,      /* a file is not what it should be (syntax, magic, checksum, length) */
    DPF_ERR_RANGE = 5,       /* a value is outside of what is allowed */
    DPF_ERR_UNSUPPORTED = 6, /* well-formed, but this program cannot do it */
    DPF_ERR_MISMATCH = 7,    /* two inputs do not belong together (weights of another cfg, ...) */
    DPF_ERR_NUMERIC = 8      /* NaN or infinity where a number was needed */
} dpf_status;

typedef struct dpf_error {
    dpf_status status;
    char text[1024]; /* one line, no newline, always terminated */
} dpf_error;

/* Fills err (NULL is allowed) and returns status, so that a function can end
 * with `return dpf_fail(err, DPF_ERR_RANGE, "...", ...)`. */
dpf_status dpf_fail(dpf_error *err, dpf_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "allocation of N bytes for WHAT failed". */
dpf_status dpf_fail_memory(dpf_error *err, unsigned long long bytes, const char *what);

#endif
