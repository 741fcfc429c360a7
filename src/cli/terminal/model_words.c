/* SPDX-License-Identifier: MIT
 *
 * See model_words.h.
 */
#include "model_words.h"

#include "../../dpf/model/modelfile.h"

dpf_status model_words(const char **words, size_t at, size_t least, size_t most, const char *usage, dpf_error *err) {
    size_t count = 0;
    while (count < most && words[count])
        count++;
    if (count > at && dpf_modelfile_is_packed(words[at])) {
        if (count == most)
            return dpf_fail(err, DPF_ERR_ARGUMENT,
                            "'%s' is one argument too many: '%s' holds cfg and weights; usage: %s", words[most - 1],
                            words[at], usage);
        for (size_t i = count; i > at + 1; i--)
            words[i] = words[i - 1];
        words[at + 1] = NULL;
        count++;
    } else if (count > at + 1 && dpf_modelfile_is_packed(words[at + 1])) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "'%s' holds its own cfg: leave '%s' out; usage: %s", words[at + 1],
                        words[at], usage);
    }
    if (count < least)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "too few arguments; usage: %s", usage);
    return DPF_OK;
}
