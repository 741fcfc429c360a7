/* SPDX-License-Identifier: MIT
 *
 * Errors as values. The library never prints, exits or aborts: a function that
 * can fail returns a dpf_status and writes one sentence for a human into the
 * dpf_error that the caller passed. The sentence says what was wrong, where
 * (file:line, layer, key), what was got and what is allowed.
 */
#ifndef DPF_CORE_ERROR_H
#define DPF_CORE_ERROR_H

#include "../dpf.h"

/* Fills err (NULL is allowed) and returns status, so that a function can end
 * with `return dpf_fail(err, DPF_ERR_RANGE, "...", ...)`. */
dpf_status dpf_fail(dpf_error *err, dpf_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "allocation of N bytes for WHAT failed". */
dpf_status dpf_fail_memory(dpf_error *err, unsigned long long bytes, const char *what);

#endif
