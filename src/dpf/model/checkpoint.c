/* SPDX-License-Identifier: MIT
 *
 * See checkpoint.h.
 */
#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct names {
    char *state, *old;
} names;

char *dpf_checkpoint_state_path(const char *weights_path) {
    static const char suffix[] = ".weights";
    const size_t length = strlen(weights_path), cut = sizeof suffix - 1;
    const int has = length > cut && strcmp(weights_path + length - cut, suffix) == 0;
    char *path = NULL;
    return asprintf(&path, "%.*s.state", (int)(has ? length - cut : length), weights_path) < 0 ? NULL : path;
}

static dpf_status make_names(names *n, const char *weights_path, dpf_error *err) {
    n->state = dpf_checkpoint_state_path(weights_path);
    char *target = n->state ? realpath(n->state, NULL) : NULL; /* a symbolic link stays one */
    if (target) {
        free(n->state);
        n->state = target;
    }
    if (!n->state || asprintf(&n->old, "%s.old", n->state) < 0) {
        free(n->state);
        *n = (names){0};
        return dpf_fail_memory(err, strlen(weights_path) + 12, "file names");
    }
    return DPF_OK;
}

static void free_names(names *n) {
    free(n->state);
    free(n->old);
}

/* XXH64 of a file. */
static dpf_status hash_file(const char *path, uint64_t *hash, dpf_error *err) {
    enum { PIECE = 1 << 16 };
    ssize_t got = -1;
    XXH64_state_t *state = XXH64_createState();
    char *piece = malloc(PIECE);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (state && piece && fd >= 0) {
        XXH64_reset(state, 0);
        while ((got = read(fd, piece, PIECE)) > 0 || (got < 0 && errno == EINTR))
            if (got > 0)
                XXH64_update(state, piece, (size_t)got);
        *hash = XXH64_digest(state);
    }
    const int reason = errno;
    if (fd >= 0)
        close(fd);
    free(piece);
    XXH64_freeState(state);
    return got == 0 ? DPF_OK : dpf_fail(err, DPF_ERR_IO, "%s: %s", path, strerror(reason));
}

/* Reads one candidate; *fits when it belongs to the weights. */
static dpf_status try_state(dpf_state *out, int *fits, const char *path, uint64_t hash, dpf_error *err) {
    dpf_status status = dpf_state_read(out, path, err);
    *fits = status == DPF_OK && out->weights_hash == hash;
    if (status == DPF_OK && !*fits)
        dpf_state_free(out);
    return status;
}

/* Is there a state, and of weights of this checksum? */
static int belongs(const char *path, uint64_t hash) {
    dpf_state state;
    int fits;
    if (try_state(&state, &fits, path, hash, NULL) == DPF_OK && fits)
        dpf_state_free(&state);
    return fits;
}

/* After a crash between steps 3 and 4 the old state is the one to keep: it gets its name back. After one before step 5
 * it has to go. */
static void settle(const names *n, const char *weights_path) {
    uint64_t hash;
    if (access(n->old, F_OK) != 0 || hash_file(weights_path, &hash, NULL) != DPF_OK)
        return;
    if (belongs(n->state, hash))
        unlink(n->old);
    else if (belongs(n->old, hash))
        rename(n->old, n->state);
}

/* Steps 2 to 5. Releases both writers. */
static dpf_status replace_pair(const names *n, const char *weights_path, dpf_writer *weights, dpf_writer *state,
                               dpf_error *err) {
    settle(n, weights_path);
    const int had = access(n->state, F_OK) == 0;
    if (had && rename(n->state, n->old) != 0) {
        dpf_status status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be renamed: %s", n->state, strerror(errno));
        dpf_writer_cancel(weights);
        dpf_writer_cancel(state);
        return status;
    }
    dpf_status status = dpf_writer_commit(state, err); /* flushes the folder too: the order holds after a power cut */
    if (status == DPF_OK)
        status = dpf_writer_commit(weights, err);
    else
        dpf_writer_cancel(weights);
    if (status == DPF_OK)
        unlink(n->old);
    else if (had)
        rename(n->old, n->state);
    else
        unlink(n->state);
    return status;
}

dpf_status dpf_checkpoint_write(const char *weights_path, const void *weights, size_t size, dpf_state *state,
                                dpf_error *err) {
    names n = {0};
    dpf_writer *to_state = NULL, *to_weights = NULL;
    state->weights_hash = XXH64(weights, size, 0);
    dpf_status status = make_names(&n, weights_path, err);
    if (status == DPF_OK)
        status = dpf_writer_open(&to_state, n.state, err);
    if (status == DPF_OK)
        status = dpf_state_put(to_state, state, err);
    if (status == DPF_OK)
        status = dpf_writer_flush(to_state, err);
    if (status == DPF_OK)
        status = dpf_writer_open(&to_weights, weights_path, err);
    if (status == DPF_OK)
        status = dpf_writer_put(to_weights, weights, size, err);
    if (status == DPF_OK)
        status = dpf_writer_flush(to_weights, err);
    if (status == DPF_OK) {
        status = replace_pair(&n, weights_path, to_weights, to_state, err);
    } else {
        dpf_writer_cancel(to_weights);
        dpf_writer_cancel(to_state);
    }
    free_names(&n);
    return status;
}

dpf_status dpf_checkpoint_read(dpf_state *out, int *found, const char *weights_path, dpf_error *err) {
    names n = {0};
    uint64_t hash;
    int fits = 0;
    memset(out, 0, sizeof *out);
    *found = 0;
    dpf_status status = make_names(&n, weights_path, err);
    if (status != DPF_OK)
        return status;
    const int have = access(n.state, F_OK) == 0, have_old = access(n.old, F_OK) == 0;
    if (have || have_old)
        status = hash_file(weights_path, &hash, err);
    if (status == DPF_OK && (have || have_old)) {
        if (have)
            status = try_state(out, &fits, n.state, hash, err);
        /* whatever is wrong with the first, the second may be right */
        if (!fits && have_old && try_state(out, &fits, n.old, hash, have ? NULL : err) == DPF_OK && fits)
            status = DPF_OK;
        if (status == DPF_OK && !fits)
            status = dpf_fail(err, DPF_ERR_MISMATCH, "%s: was not written with '%s' but with other weights",
                              have ? n.state : n.old, weights_path);
        *found = fits;
    }
    free_names(&n);
    return status;
}

void dpf_checkpoint_settle(const char *weights_path) {
    names n = {0};
    if (make_names(&n, weights_path, NULL) == DPF_OK)
        settle(&n, weights_path);
    free_names(&n);
}

void dpf_checkpoint_remove(const char *weights_path) {
    names n = {0};
    if (make_names(&n, weights_path, NULL) == DPF_OK) {
        unlink(n.state);
        unlink(n.old);
    }
    unlink(weights_path);
    free_names(&n);
}
