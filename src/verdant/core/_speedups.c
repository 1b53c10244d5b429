/* Speedups: core/loops.py in C, for Linux and CPython.

Place     core; loops.py chooses between this and itself. Absent or switched off (VERDANT_PURE=1),
          nothing is missing but speed.
Promise   the same calls with the same outcome: tests/core run on both.
Not here  anything that is called less than once per message.

What is saved is not system calls (they are the same) but the interpreter between them: three
frames per receive, two per send, and a loop turn per event. Who runs is said at each switch.
*/

#include "_speedups.h"

#include <structmember.h>

#include <errno.h>
#include <greenlet/greenlet.h>
#include <sys/epoll.h>
#include <unistd.h>

/* As in pollbits.py: after one of these a descriptor stays readable for good. */
#define GONE (EPOLLHUP | EPOLLERR | EPOLLRDHUP | EPOLLPRI)
#define READABLE (EPOLLIN | GONE)
#define WRITABLE (EPOLLOUT | EPOLLHUP | EPOLLERR)

/* Receives up to this size go through one buffer, so that a short message never allocates a long
   one. Guarded by the interpreter lock, which is not let go while it is in use: the descriptor does
   not block, and the copy takes less time than giving the lock away and getting it back. */
#define BUFFER_BYTES (64 * 1024)
static char buffer[BUFFER_BYTES];

static PyObject *str_scheduled, *str_interrupts, *str_popleft, *str_append, *str_switch;
static PyObject *str_wait_readable, *str_wait_writable;
static PyObject *str_more_readers, *str_more_writers, *str_leave_readers, *str_leave_writers;

typedef struct {
    PyObject_HEAD
    PyObject *greenlet;
    PyObject *ready;
    /* Methods of `ready`, bound once. */
    PyObject *append;
    PyObject *popleft;
    Py_ssize_t batch;
} Hub;

typedef struct {
    PyObject_HEAD
    Hub *hub;
    PyObject *reader;
    PyObject *writer;
    PyObject *more_readers;
    PyObject *more_writers;
    Py_ssize_t born;
    int fd;
    char readable;
    char gone;
    char closed;
} Watch;

static PyTypeObject *hub_type, *watch_type;

/* The last type of green thread seen whose `switch` is greenlet's own; a strong reference. */
static PyTypeObject *plain_type;

/* 1 when `waiter` may be switched to without asking its `switch`; 0 for what is no greenlet, or does
   more at a switch (the thread of an asyncio loop does). */
static int
is_plain(PyObject *waiter)
{
    PyTypeObject *type = Py_TYPE(waiter);
    if (type == plain_type || type == &PyGreenlet_Type)
        return 1;
    if (!PyGreenlet_Check(waiter))
        return 0;
    PyObject *its = PyObject_GetAttr((PyObject *)type, str_switch);
    PyObject *greenlets = PyObject_GetAttr((PyObject *)&PyGreenlet_Type, str_switch);
    int plain = its != NULL && its == greenlets;
    Py_XDECREF(its);
    Py_XDECREF(greenlets);
    PyErr_Clear();
    if (plain)
        Py_XSETREF(plain_type, (PyTypeObject *)Py_NewRef(type));
    return plain;
}

/* ---- The ready queue ---- */

static int
switch_to(PyObject *target)
{
    PyObject *result = is_plain(target)
                           ? PyGreenlet_Switch((PyGreenlet *)target, NULL, NULL)
                           : PyObject_CallMethodNoArgs(target, str_switch);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

/* Take out the next that `leave` may switch to from here: a new reference, or NULL without an
   exception where the hub is to choose. */
static PyObject *
following(Hub *hub, PyObject *me)
{
    if (hub->batch <= 0 || !is_plain(me))
        return NULL;
    PyObject *next = PySequence_GetItem(hub->ready, 0);
    if (next == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (is_plain(next) && PyGreenlet_ACTIVE((PyGreenlet *)next)) {
        PyObject *taken = PyObject_CallNoArgs(hub->popleft);
        if (taken != NULL) {
            hub->batch--;
            Py_DECREF(taken);
            return next;
        }
        PyErr_Clear();
    }
    Py_DECREF(next);
    return NULL;
}

/* In `me`, the greenlet that leaves; others run until somebody switches back to it. */
static int
leave(Hub *hub, PyObject *me)
{
    PyObject *next = following(hub, me);
    PyObject *target = next != NULL ? next : Py_NewRef(hub->greenlet);
    PyObject *result = PyGreenlet_Switch((PyGreenlet *)target, NULL, NULL);
    Py_DECREF(target);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
hub_leave(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *me = (PyObject *)PyGreenlet_GetCurrent();
    if (me == NULL)
        return NULL;
    int failed = leave((Hub *)self, me);
    Py_DECREF(me);
    if (failed < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
hub_run_ready(PyObject *self, PyObject *Py_UNUSED(none))
{
    Hub *hub = (Hub *)self;
    hub->batch = PyObject_Size(hub->ready);
    if (hub->batch < 0)
        return NULL;
    while (hub->batch > 0 && PyObject_Size(hub->ready) > 0) {
        hub->batch--;
        PyObject *next = PyObject_CallNoArgs(hub->popleft);
        if (next == NULL)
            return NULL;
        int failed = switch_to(next);
        Py_DECREF(next);
        if (failed < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* Raise the first interrupt of `me`, if there is one. */
static int
raise_interrupt(PyObject *me)
{
    PyObject *interrupts = PyObject_GetAttr(me, str_interrupts);
    if (interrupts == NULL)
        return -1;
    int pending = interrupts == Py_None ? 0 : PyObject_IsTrue(interrupts);
    if (pending > 0) {
        PyObject *exc = PyObject_CallMethodNoArgs(interrupts, str_popleft);
        if (exc != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
            Py_DECREF(exc);
        }
        pending = -1;
    }
    Py_DECREF(interrupts);
    return pending;
}

static PyObject *
hub_take_turns(PyObject *self, PyObject *me)
{
    Hub *hub = (Hub *)self;
    if (raise_interrupt(me) < 0 || PyObject_SetAttr(me, str_scheduled, Py_True) < 0)
        return NULL;
    PyObject *appended = PyObject_CallOneArg(hub->append, me);
    if (appended == NULL)
        return NULL;
    Py_DECREF(appended);
    if (leave(hub, me) < 0 || PyObject_SetAttr(me, str_scheduled, Py_False) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int
hub_traverse(PyObject *self, visitproc visit, void *arg)
{
    Hub *hub = (Hub *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(hub->greenlet);
    Py_VISIT(hub->ready);
    Py_VISIT(hub->append);
    Py_VISIT(hub->popleft);
    return 0;
}

static int
hub_clear(PyObject *self)
{
    Hub *hub = (Hub *)self;
    Py_CLEAR(hub->greenlet);
    Py_CLEAR(hub->ready);
    Py_CLEAR(hub->append);
    Py_CLEAR(hub->popleft);
    return 0;
}

static void
hub_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    hub_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
hub_get_ready(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *ready = ((Hub *)self)->ready;
    return Py_NewRef(ready == NULL ? Py_None : ready);
}

static int
hub_set_ready(PyObject *self, PyObject *ready, void *Py_UNUSED(closure))
{
    Hub *hub = (Hub *)self;
    if (ready == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a hub has a ready queue");
        return -1;
    }
    PyObject *append = PyObject_GetAttr(ready, str_append);
    PyObject *popleft = PyObject_GetAttr(ready, str_popleft);
    if (append == NULL || popleft == NULL) {
        Py_XDECREF(append);
        Py_XDECREF(popleft);
        return -1;
    }
    Py_XSETREF(hub->ready, Py_NewRef(ready));
    Py_XSETREF(hub->append, append);
    Py_XSETREF(hub->popleft, popleft);
    return 0;
}

static PyGetSetDef hub_getset[] = {
    {"ready", hub_get_ready, hub_set_ready, NULL, NULL},
    {NULL},
};

static PyMemberDef hub_members[] = {
    {"greenlet", T_OBJECT, offsetof(Hub, greenlet), 0, NULL},
    {"batch", T_PYSSIZET, offsetof(Hub, batch), 0, NULL},
    {NULL},
};

static PyMethodDef hub_methods[] = {
    {"leave", hub_leave, METH_NOARGS, "As in loops.py."},
    {"run_ready", hub_run_ready, METH_NOARGS, "As in loops.py."},
    {"take_turns", hub_take_turns, METH_O, "As in loops.py."},
    {NULL},
};

static PyType_Slot hub_slots[] = {
    {Py_tp_doc, "The ready queue of a hub, and who runs next."},
    {Py_tp_members, hub_members},
    {Py_tp_getset, hub_getset},
    {Py_tp_methods, hub_methods},
    {Py_tp_traverse, hub_traverse},
    {Py_tp_clear, hub_clear},
    {Py_tp_dealloc, hub_dealloc},
    {0, NULL},
};

static PyType_Spec hub_spec = {
    .name = "verdant.core._speedups.HubLoops",
    .basicsize = sizeof(Hub),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = hub_slots,
};

/* ---- A descriptor ---- */

static int
is_nobody(PyObject *waiter)
{
    return waiter == NULL || waiter == Py_None;
}

/* Park the running green thread in the slot of one direction, until the hub takes it out. In the
   caller's greenlet; others run between the two halves of the switch. */
static int
park(Watch *watch, PyObject **slot, PyObject *str_leave)
{
    PyObject *me = (PyObject *)PyGreenlet_GetCurrent();
    if (me == NULL)
        return -1;
    Py_INCREF(me);
    Py_XSETREF(*slot, me);
    if (leave(watch->hub, me) < 0) {
        /* Interrupted: nobody took us out of the line. */
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyObject *left = PyObject_CallMethodOneArg((PyObject *)watch, str_leave, me);
        Py_DECREF(me);
        if (left == NULL) {
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(traceback);
            return -1;
        }
        Py_DECREF(left);
        PyErr_Restore(type, value, traceback);
        return -1;
    }
    int failed = PyObject_SetAttr(me, str_scheduled, Py_False);
    Py_DECREF(me);
    return failed;
}

static int
fail_closed(Watch *watch)
{
    if (!watch->closed)
        return 0;
    errno = EBADF;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int
has_line(PyObject *line)
{
    return is_nobody(line) ? 0 : PyObject_IsTrue(line);
}

/* Wait as `wait_readable()` or `wait_writable()` does, which is called where there is a line. Who
   waits `again` goes to its head. */
static int
wait_for(Watch *watch, PyObject **slot, PyObject *line, PyObject *str_wait, PyObject *str_leave,
         int again)
{
    if (fail_closed(watch) < 0)
        return -1;
    int queued = !is_nobody(*slot) ? 1 : again ? 0 : has_line(line);
    if (queued < 0)
        return -1;
    if (queued) {
        PyObject *waited = PyObject_CallMethodObjArgs((PyObject *)watch, str_wait, Py_None,
                                                      again ? Py_True : Py_False, NULL);
        Py_XDECREF(waited);
        return waited == NULL ? -1 : 0;
    }
    return park(watch, slot, str_leave) < 0 ? -1 : fail_closed(watch);
}

static PyObject *
read_once(Watch *watch, Py_ssize_t bytes_max, Py_ssize_t *got)
{
    if (bytes_max <= BUFFER_BYTES) {
        *got = read(watch->fd, buffer, bytes_max);
        return *got < 0 ? NULL : PyBytes_FromStringAndSize(buffer, *got);
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, bytes_max);
    if (data == NULL)
        return NULL;
    *got = read(watch->fd, PyBytes_AS_STRING(data), bytes_max);
    if (*got < 0) {
        int reason = errno;
        Py_CLEAR(data);
        errno = reason;
    }
    else if (*got < bytes_max)
        _PyBytes_Resize(&data, *got);
    return data;
}

static PyObject *
watch_read(PyObject *self, PyObject *argument)
{
    Watch *watch = (Watch *)self;
    Py_ssize_t bytes_max = PyLong_AsSsize_t(argument);
    if (bytes_max < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "negative buffersize in recv");
        return NULL;
    }
    int again = 0;
    for (;;) {
        if (!watch->readable) {
            if (wait_for(watch, &watch->reader, watch->more_readers, str_wait_readable,
                         str_leave_readers, again) < 0)
                return NULL;
            again = 1;
        }
        if (fail_closed(watch) < 0)
            return NULL;
        Py_ssize_t got = 0;
        PyObject *data = read_once(watch, bytes_max, &got);
        if (data != NULL) {
            if (got > 0 && got < bytes_max && !watch->gone)
                watch->readable = 0;
            return data;
        }
        if (PyErr_Occurred())
            return NULL;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            watch->readable = 0;
        else if (errno == EINTR) {
            if (PyErr_CheckSignals() < 0)
                return NULL;
        }
        else
            return PyErr_SetFromErrno(PyExc_OSError);
    }
}

static PyObject *
watch_write_all(PyObject *self, PyObject *argument)
{
    Watch *watch = (Watch *)self;
    Py_buffer data;
    if (PyObject_GetBuffer(argument, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t sent = 0;
    int again = 0;
    while (sent < data.len) {
        if (fail_closed(watch) < 0)
            goto failed;
        Py_ssize_t now = write(watch->fd, (char *)data.buf + sent, data.len - sent);
        if (now >= 0) {
            sent += now;
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_for(watch, &watch->writer, watch->more_writers, str_wait_writable,
                         str_leave_writers, again) < 0)
                goto failed;
            again = 1;
        }
        else if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            goto failed;
        }
        else if (PyErr_CheckSignals() < 0)
            goto failed;
    }
    PyBuffer_Release(&data);
    Py_RETURN_NONE;
failed:
    PyBuffer_Release(&data);
    return NULL;
}

static int
watch_traverse(PyObject *self, visitproc visit, void *arg)
{
    Watch *watch = (Watch *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(watch->hub);
    Py_VISIT(watch->reader);
    Py_VISIT(watch->writer);
    Py_VISIT(watch->more_readers);
    Py_VISIT(watch->more_writers);
    return 0;
}

static int
watch_clear(PyObject *self)
{
    Watch *watch = (Watch *)self;
    Py_CLEAR(watch->hub);
    Py_CLEAR(watch->reader);
    Py_CLEAR(watch->writer);
    Py_CLEAR(watch->more_readers);
    Py_CLEAR(watch->more_writers);
    return 0;
}

static void
watch_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    watch_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef watch_members[] = {
    {"reader", T_OBJECT, offsetof(Watch, reader), 0, NULL},
    {"writer", T_OBJECT, offsetof(Watch, writer), 0, NULL},
    {"more_readers", T_OBJECT, offsetof(Watch, more_readers), 0, NULL},
    {"more_writers", T_OBJECT, offsetof(Watch, more_writers), 0, NULL},
    {"born", T_PYSSIZET, offsetof(Watch, born), 0, NULL},
    {"fd", T_INT, offsetof(Watch, fd), 0, NULL},
    {"readable", T_BOOL, offsetof(Watch, readable), 0, NULL},
    {"gone", T_BOOL, offsetof(Watch, gone), 0, NULL},
    {"closed", T_BOOL, offsetof(Watch, closed), 0, NULL},
    {NULL},
};

static PyObject *
watch_get_hub(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *hub = (PyObject *)((Watch *)self)->hub;
    return Py_NewRef(hub == NULL ? Py_None : hub);
}

static int
watch_set_hub(PyObject *self, PyObject *hub, void *Py_UNUSED(closure))
{
    if (hub == NULL || !PyObject_TypeCheck(hub, hub_type)) {
        PyErr_SetString(PyExc_TypeError, "the hub of a watch must be a Hub");
        return -1;
    }
    Py_XSETREF(((Watch *)self)->hub, (Hub *)Py_NewRef(hub));
    return 0;
}

static PyGetSetDef watch_getset[] = {
    {"hub", watch_get_hub, watch_set_hub, NULL, NULL},
    {NULL},
};

static PyMethodDef watch_methods[] = {
    {"read", watch_read, METH_O, "As in loops.py."},
    {"write_all", watch_write_all, METH_O, "As in loops.py."},
    {NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_doc, "A descriptor's waiters, and the loops that read and write it."},
    {Py_tp_members, watch_members},
    {Py_tp_getset, watch_getset},
    {Py_tp_methods, watch_methods},
    {Py_tp_traverse, watch_traverse},
    {Py_tp_clear, watch_clear},
    {Py_tp_dealloc, watch_dealloc},
    {0, NULL},
};

static PyType_Spec watch_spec = {
    .name = "verdant.core._speedups.WatchLoops",
    .basicsize = sizeof(Watch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = watch_slots,
};

/* Let the waiters of one direction run in their order. In the hub, which goes on when one parks. */
static int
wake(Watch *watch, PyObject **slot, PyObject **line, PyObject *str_more)
{
    PyObject *waiter = *slot;
    if (is_nobody(waiter))
        return 0;
    *slot = NULL;
    int failed = switch_to(waiter);
    Py_DECREF(waiter);
    if (failed < 0)
        return -1;
    int queued = has_line(*line);
    if (queued <= 0)
        return queued;
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)watch, str_more);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
deliver_one(Watch *watch, long event, Py_ssize_t turn)
{
    if (watch->born == turn)
        return 0;
    if (event & READABLE) {
        watch->readable = 1;
        if (event & GONE)
            watch->gone = 1;
        if (wake(watch, &watch->reader, &watch->more_readers, str_more_readers) < 0)
            return -1;
    }
    if (event & WRITABLE)
        return wake(watch, &watch->writer, &watch->more_writers, str_more_writers);
    return 0;
}

static PyObject *
deliver(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 4 || !PyList_Check(arguments[0]) || !PyDict_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "deliver(events: list, watches: dict, turn, wake_fd)");
        return NULL;
    }
    PyObject *events = arguments[0], *watches = arguments[1];
    Py_ssize_t turn = PyLong_AsSsize_t(arguments[2]);
    long wake_fd = PyLong_AsLong(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    int woken = 0;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(events); index++) {
        PyObject *pair = PyList_GET_ITEM(events, index);
        PyObject *fd = PyTuple_GET_ITEM(pair, 0);
        PyObject *watch = PyDict_GetItemWithError(watches, fd);
        if (watch == NULL) {
            if (PyErr_Occurred())
                return NULL;
            woken |= PyLong_AsLong(fd) == wake_fd;
            continue;
        }
        if (!PyObject_TypeCheck(watch, watch_type)) {
            PyErr_SetString(PyExc_TypeError, "a watch of another kind");
            return NULL;
        }
        long event = PyLong_AsLong(PyTuple_GET_ITEM(pair, 1));
        Py_INCREF(watch);
        int failed = deliver_one((Watch *)watch, event, turn);
        Py_DECREF(watch);
        if (failed)
            return NULL;
    }
    return PyBool_FromLong(woken);
}

static PyMethodDef module_methods[] = {
    {"keep_chunks", keep_chunks, METH_NOARGS, "See _speedups_chunks.c."},
    {"deliver", (PyCFunction)(void (*)(void))deliver, METH_FASTCALL, "As in loops.py."},
    {NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "verdant.core._speedups",
    .m_doc = "core/loops.py in C.",
    .m_size = -1,
    .m_methods = module_methods,
};

static int
intern(PyObject **into, const char *text)
{
    *into = PyUnicode_InternFromString(text);
    return *into == NULL ? -1 : 0;
}

PyMODINIT_FUNC
PyInit__speedups(void)
{
    PyGreenlet_Import();
    if (_PyGreenlet_API == NULL)
        return NULL;
    if (intern(&str_scheduled, "scheduled") < 0 || intern(&str_interrupts, "interrupts") < 0 ||
        intern(&str_popleft, "popleft") < 0 || intern(&str_append, "append") < 0 ||
        intern(&str_switch, "switch") < 0 ||
        intern(&str_wait_readable, "wait_readable") < 0 ||
        intern(&str_wait_writable, "wait_writable") < 0 ||
        intern(&str_more_readers, "serve_more_readers") < 0 ||
        intern(&str_more_writers, "serve_more_writers") < 0 ||
        intern(&str_leave_readers, "_leave_readers") < 0 ||
        intern(&str_leave_writers, "_leave_writers") < 0)
        return NULL;
    hub_type = (PyTypeObject *)PyType_FromSpec(&hub_spec);
    watch_type = (PyTypeObject *)PyType_FromSpec(&watch_spec);
    if (hub_type == NULL || watch_type == NULL)
        return NULL;
    PyObject *module = PyModule_Create(&module_definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddObjectRef(module, "HubLoops", (PyObject *)hub_type) < 0 ||
        PyModule_AddObjectRef(module, "WatchLoops", (PyObject *)watch_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
