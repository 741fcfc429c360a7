/* SPDX-License-Identifier: MIT
 *
 * See error.h.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

dpf_status dpf_fail(dpf_error *err, dpf_status status, const char *format, ...) {
    if (err) {
        err->status = status;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

dpf_status dpf_fail_memory(dpf_error *err, unsigned long long bytes, const char *what) {
    return dpf_fail(err, DPF_ERR_MEMORY, "out of memory: %llu bytes for %s", bytes, what);
}
