/* calls.py in C: one receive or send that meets nobody else.
 *
 * Place     zmq; calls.py takes it where it was built. Knows the flags that readiness.py keeps and
 *           pyzmq's own functions, which calls.py hands in; of libzmq one, zmq_getsockopt(3).
 * Promise   the same outcomes as the classes in calls.py. Whatever is not the plain case (other
 *           arguments, a flag that is down, another native thread, EAGAIN) goes to the method in
 *           Python that handles every case.
 *
 * A receive that meets nobody else waits here too, by the rule of readiness.py: look, then park. It
 * stands in the watch itself, as `alone`, until somebody else comes: readiness.py then puts it
 * into the line, and it goes on as one of several. A REQ parks once per round trip, and what runs
 * just after a park runs on cold caches: there every step in Python costs twice what it does
 * elsewhere.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <greenlet/greenlet.h>
#include <pythread.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    char may_receive;
    char may_send;
    char may_wait;
    char alternates;
    char asked;
    long long ident;
    long left;
    long hits;
    /* libzmq's socket, as a number. */
    unsigned long long address;
    PyObject *watch;
    PyObject *alone;
} Turns;

/* zmq.h */
#define ZMQ_EVENTS 15
#define ZMQ_POLLIN 1
typedef int (*GetSockOpt)(void *socket, int option, void *value, size_t *size);

static PyTypeObject *turns_type;
static PyObject *raw_recv, *raw_send, *again, *no_block;
/* NULL where it was not found: then nobody waits here. */
static GetSockOpt zmq_getsockopt;
static long calls_per_turn, hits_until_sure;
static PyObject *str_reader, *str_hub, *str_leave, *str_scheduled, *str_give_up, *str_go_on;
static PyObject *str_readiness, *str_settle, *str_recv_slowly, *str_send_slowly, *str_found_nothing,
    *str_send_again;

static PyMemberDef turns_members[] = {
    {"may_receive", T_BOOL, offsetof(Turns, may_receive), 0, NULL},
    {"may_send", T_BOOL, offsetof(Turns, may_send), 0, NULL},
    {"may_wait", T_BOOL, offsetof(Turns, may_wait), 0, NULL},
    {"alternates", T_BOOL, offsetof(Turns, alternates), 0, NULL},
    {"asked", T_BOOL, offsetof(Turns, asked), 0, NULL},
    {"ident", T_LONGLONG, offsetof(Turns, ident), 0, NULL},
    {"left", T_LONG, offsetof(Turns, left), 0, NULL},
    {"hits", T_LONG, offsetof(Turns, hits), 0, NULL},
    {"address", T_ULONGLONG, offsetof(Turns, address), 0, NULL},
    {"watch", T_OBJECT, offsetof(Turns, watch), 0, NULL},
    {"alone", T_OBJECT, offsetof(Turns, alone), 0, NULL},
    {NULL},
};

static int
turns_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Turns *)self)->watch);
    Py_VISIT(((Turns *)self)->alone);
    return 0;
}

static int
turns_clear(PyObject *self)
{
    Py_CLEAR(((Turns *)self)->watch);
    Py_CLEAR(((Turns *)self)->alone);
    return 0;
}

static void
turns_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    turns_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot turns_slots[] = {
    {Py_tp_members, turns_members},
    {Py_tp_traverse, turns_traverse},
    {Py_tp_clear, turns_clear},
    {Py_tp_dealloc, turns_dealloc},
    {0, NULL},
};

static PyType_Spec turns_spec = {
    .name = "verdant.zmq._speedups.Turns",
    .basicsize = sizeof(Turns),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = turns_slots,
};

/* The socket's turns, a new reference; NULL with an error set. */
static Turns *
turns_of(PyObject *socket)
{
    PyObject *found = PyObject_GenericGetAttr(socket, str_readiness);
    if (found != NULL && !PyObject_TypeCheck(found, turns_type)) {
        Py_DECREF(found);
        PyErr_SetString(PyExc_TypeError, "a readiness of another kind");
        return NULL;
    }
    return (Turns *)found;
}

/* After a success: the turn goes on, or ends. Steals `result`, gives it back or NULL. */
static PyObject *
counted(Turns *turns, PyObject *result)
{
    if (--turns->left == 0) {
        PyObject *none = PyObject_CallMethodNoArgs((PyObject *)turns, str_settle);
        if (none == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        Py_DECREF(none);
    }
    return result;
}

static PyObject *
slowly(PyObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *method = PyObject_GenericGetAttr(self, name);
    if (method == NULL)
        return NULL;
    PyObject *result = PyObject_Vectorcall(method, args, count, names);
    Py_DECREF(method);
    return result;
}

/* 1 when a receive would find something, or an error; the look may take the descriptor's edge. */
static int
has_news(Turns *turns)
{
    int events;
    size_t size = sizeof events;
    if (zmq_getsockopt((void *)(uintptr_t)turns->address, ZMQ_EVENTS, &events, &size) != 0)
        return 1;
    return (events & ZMQ_POLLIN) != 0;
}

/* Call a method of readiness.py about the thread that waited, with the exception in hand put aside.
   Returns NULL, with that exception. */
static PyObject *
give_up(Turns *turns, PyObject *me)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *none = PyObject_CallMethodOneArg((PyObject *)turns, str_give_up, me);
    if (none == NULL) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return NULL;
    }
    Py_DECREF(none);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

/* Park the running green thread in the watch until an edge. In its own greenlet; others run in
   between. 1: it is still alone. 0: it stands in the line now. -1: an exception, and it stands
   nowhere. */
static int
park_alone(Turns *turns, PyObject *me)
{
    if (PyObject_SetAttr(turns->watch, str_reader, me) < 0)
        return -1;
    Py_XSETREF(turns->alone, Py_NewRef(me));
    turns->may_receive = turns->may_send = turns->may_wait = 0;
    turns->left = calls_per_turn;
    turns->hits = 0;
    PyObject *hub = PyObject_GetAttr(turns->watch, str_hub);
    PyObject *none = hub == NULL ? NULL : PyObject_CallMethodNoArgs(hub, str_leave);
    Py_XDECREF(hub);
    if (none == NULL) {
        give_up(turns, me);
        return -1;
    }
    Py_DECREF(none);
    if (PyObject_SetAttr(me, str_scheduled, Py_False) < 0)
        return -1;
    if (turns->alone != me)
        return 0;
    Py_CLEAR(turns->alone);
    return 1;
}

/* A receive that meets nobody else, and may have to wait. */
static PyObject *
receive_alone(PyObject *self, Turns *turns)
{
    if (!has_news(turns)) {
        PyObject *reader = PyObject_GetAttr(turns->watch, str_reader);
        if (reader == NULL)
            return NULL;
        int taken = reader != Py_None;
        Py_DECREF(reader);
        if (taken)
            /* Somebody waits for the descriptor itself. */
            return slowly(self, str_recv_slowly, NULL, 0, NULL);
        PyObject *me = (PyObject *)PyGreenlet_GetCurrent();
        if (me == NULL)
            return NULL;
        int alone = park_alone(turns, me);
        PyObject *message = NULL;
        if (alone == 0)
            message = PyObject_CallMethodObjArgs((PyObject *)turns, str_go_on, me, self, NULL);
        Py_DECREF(me);
        if (alone <= 0)
            return message;
    }
    PyObject *call[2] = {self, no_block};
    PyObject *message = PyObject_Vectorcall(raw_recv, call, 2, NULL);
    if (message == NULL) {
        if (!PyErr_ExceptionMatches(again))
            return NULL;
        /* An edge for nothing. The long way waits for the next one. */
        PyErr_Clear();
        return slowly(self, str_found_nothing, NULL, 0, NULL);
    }
    turns->hits++;
    turns->asked = 0;
    turns->may_send = turns->may_wait = 1;
    turns->may_receive = !turns->alternates && turns->hits >= hits_until_sure;
    return counted(turns, message);
}

static PyObject *
receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 0 && names == NULL) {
        Turns *turns = turns_of(self);
        if (turns == NULL)
            return NULL;
        if (turns->may_receive && (long long)PyThread_get_thread_ident() == turns->ident) {
            PyObject *call[2] = {self, no_block};
            PyObject *message = PyObject_Vectorcall(raw_recv, call, 2, NULL);
            if (message != NULL)
                message = counted(turns, message);
            else if (PyErr_ExceptionMatches(again)) {
                PyErr_Clear();
                message = slowly(self, str_found_nothing, NULL, 0, NULL);
            }
            Py_DECREF(turns);
            return message;
        }
        if (turns->may_wait && zmq_getsockopt != NULL && (turns->asked || !turns->alternates) &&
            (long long)PyThread_get_thread_ident() == turns->ident) {
            PyObject *message = receive_alone(self, turns);
            Py_DECREF(turns);
            return message;
        }
        Py_DECREF(turns);
    }
    return slowly(self, str_recv_slowly, args, count, names);
}

static PyObject *
send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 1 && names == NULL) {
        Turns *turns = turns_of(self);
        if (turns == NULL)
            return NULL;
        if (turns->may_send && (long long)PyThread_get_thread_ident() == turns->ident) {
            PyObject *call[3] = {self, args[0], no_block};
            PyObject *tracker = PyObject_Vectorcall(raw_send, call, 3, NULL);
            if (tracker != NULL) {
                turns->asked = 1;
                tracker = counted(turns, tracker);
            }
            else if (PyErr_ExceptionMatches(again)) {
                PyErr_Clear();
                tracker = slowly(self, str_send_again, args, 1, NULL);
            }
            Py_DECREF(turns);
            return tracker;
        }
        Py_DECREF(turns);
    }
    return slowly(self, str_send_slowly, args, count, names);
}

static PyMethodDef calls_methods[] = {
    {"recv", (PyCFunction)(void (*)(void))receive, METH_FASTCALL | METH_KEYWORDS,
     "As pyzmq's. Parks until there is a message."},
    {"send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
     "As pyzmq's. Parks while the message cannot be queued."},
    {NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_methods, calls_methods},
    {0, NULL},
};

/* No fields, so that it goes before pyzmq's class among the bases of one. */
static PyType_Spec calls_spec = {
    .name = "verdant.zmq._speedups.Calls",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = calls_slots,
};

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *recv_, *send_, *again_, *no_block_;
    unsigned long long getsockopt_at;
    if (!PyArg_ParseTuple(args, "OOOOKll", &recv_, &send_, &again_, &no_block_, &getsockopt_at,
                          &calls_per_turn, &hits_until_sure))
        return NULL;
    zmq_getsockopt = (GetSockOpt)(uintptr_t)getsockopt_at;
    Py_XSETREF(raw_recv, Py_NewRef(recv_));
    Py_XSETREF(raw_send, Py_NewRef(send_));
    Py_XSETREF(again, Py_NewRef(again_));
    Py_XSETREF(no_block, Py_NewRef(no_block_));
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"use", use, METH_VARARGS,
     "use(recv, send, Again, NOBLOCK, where zmq_getsockopt is, calls per turn, hits until sure)"},
    {NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "verdant.zmq._speedups",
    .m_doc = "zmq/calls.py in C.",
    .m_size = -1,
    .m_methods = module_methods,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    PyGreenlet_Import();
    if (_PyGreenlet_API == NULL)
        return NULL;
    str_reader = PyUnicode_InternFromString("reader");
    str_hub = PyUnicode_InternFromString("hub");
    str_leave = PyUnicode_InternFromString("leave");
    str_scheduled = PyUnicode_InternFromString("scheduled");
    str_give_up = PyUnicode_InternFromString("give_up");
    str_go_on = PyUnicode_InternFromString("go_on");
    str_readiness = PyUnicode_InternFromString("_readiness");
    str_settle = PyUnicode_InternFromString("settle");
    str_recv_slowly = PyUnicode_InternFromString("_recv_slowly");
    str_send_slowly = PyUnicode_InternFromString("_send_slowly");
    str_found_nothing = PyUnicode_InternFromString("_found_nothing");
    str_send_again = PyUnicode_InternFromString("_send_again");
    turns_type = (PyTypeObject *)PyType_FromSpec(&turns_spec);
    PyObject *calls = PyType_FromSpec(&calls_spec);
    PyObject *module = PyModule_Create(&module_definition);
    if (PyErr_Occurred() || PyModule_AddObjectRef(module, "Turns", (PyObject *)turns_type) < 0 ||
        PyModule_AddObject(module, "Calls", calls) < 0)
        return NULL;
    return module;
}
