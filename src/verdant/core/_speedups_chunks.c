/* Chunks: the memory of a green thread's frames is kept for the next green thread.

Place     core; called once, by the first hub of the process.
Promise   at most CHUNKS_MAX chunks are kept. Whatever else asks for arenas gets them where it got
          them before.
Not here  the frames themselves: they are the interpreter's.

Each greenlet has a data stack of its own, whose first chunk the interpreter takes from its arena
allocator and gives back at the greenlet's end. That allocator is mmap and munmap, so a green thread
that lives for a microsecond costs two system calls and a page fault: 6 of the 7 microseconds of a
bare greenlet. Hence this list between the two, by the interpreter's own door for it
(https://docs.python.org/3/c-api/memory.html#customize-pymalloc-arena-allocator).

The rejected way is to run several green threads in one greenlet, one after the other: then a thread
is no longer what `getcurrent()` returns, and what hangs on it (context, locals, names) moves along.
*/

#include "_speedups.h"

#include <stdatomic.h>

/* What CPython calls DATA_STACK_CHUNK_SIZE. Where it were another size, nothing would be kept. */
#define CHUNK_BYTES (16 * 1024)

/* 8 MiB at the most, of which only pages that were touched are resident (one or two per chunk). A
   burst of more threads pays for the rest as before. */
#define CHUNKS_MAX 512

static PyObjectArenaAllocator arenas;
static void *kept[CHUNKS_MAX];
static int kept_count;

/* Chunks are mostly taken and given under the interpreter's lock, but a native thread that ends may
   have let go of it. Whoever finds the list in use passes it by: waiting for a holder that did not
   come along into a forked child would be for ever. */
static atomic_flag in_use = ATOMIC_FLAG_INIT;

static void *
take(void *Py_UNUSED(context), size_t size)
{
    void *chunk = NULL;
    if (size == CHUNK_BYTES && !atomic_flag_test_and_set_explicit(&in_use, memory_order_acquire)) {
        if (kept_count > 0)
            chunk = kept[--kept_count];
        atomic_flag_clear_explicit(&in_use, memory_order_release);
    }
    return chunk != NULL ? chunk : arenas.alloc(arenas.ctx, size);
}

static void
give(void *Py_UNUSED(context), void *chunk, size_t size)
{
    if (size == CHUNK_BYTES && !atomic_flag_test_and_set_explicit(&in_use, memory_order_acquire)) {
        if (kept_count < CHUNKS_MAX) {
            kept[kept_count++] = chunk;
            chunk = NULL;
        }
        atomic_flag_clear_explicit(&in_use, memory_order_release);
    }
    if (chunk != NULL)
        arenas.free(arenas.ctx, chunk, size);
}

PyObject *
keep_chunks(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    if (arenas.alloc == NULL) {
        PyObject_GetArenaAllocator(&arenas);
        PyObjectArenaAllocator ours = {NULL, take, give};
        PyObject_SetArenaAllocator(&ours);
    }
    Py_RETURN_NONE;
}
