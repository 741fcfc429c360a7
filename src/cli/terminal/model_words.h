/* SPDX-License-Identifier: MIT
 *
 * Where a command takes CFG WEIGHTS it also takes one .dpf. This puts the words of
 * the short form where those of the long one would stand.
 */
#ifndef DPF_CLI_MODEL_WORDS_H
#define DPF_CLI_MODEL_WORDS_H

#include <stddef.h>

#include "../../dpf/core/error.h"

/* `words` are the `most` words of args_parse; the model begins at words[at]. Afterwards words[at] is
 * the cfg or the .dpf, words[at + 1] the weights (NULL with a .dpf, whose own are meant), and what follows
 * the model begins at words[at + 2]. `least`: how many words the long form must have. */
dpf_status model_words(const char **words, size_t at, size_t least, size_t most, const char *usage, dpf_error *err);

#endif
