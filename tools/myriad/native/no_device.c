// Stands in for libusb and says that no device is there, at once: the compiler must not wait for hardware, nor touch it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

// Before it compiles, the plugin looks for a device for five seconds of the monotonic clock. Each look at the clock from
// within the plugin finds it this much later than it is; everybody else sees the true time.
static const time_t STEP_SECONDS = 3;

static int called_by_plugin(const void* address) {
    Dl_info caller;
    return dladdr(address, &caller) && caller.dli_fname && strstr(caller.dli_fname, "libmyriadPlugin");
}

int clock_gettime(clockid_t clock, struct timespec* now) {
    static __thread time_t ahead = 0;
    const long status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && clock == CLOCK_MONOTONIC && called_by_plugin(__builtin_return_address(0))) {
        ahead += STEP_SECONDS;
        now->tv_sec += ahead;
    }
    return (int)status;
}

int libusb_init(void** context) {
    if (context) {
        *context = 0;
    }
    return 0;
}

ssize_t libusb_get_device_list(void* context, void*** list) {
    static void* none[1] = {0};
    (void)context;
    usleep(1000);  // a thread of the plugin asks again and again
    *list = none;
    return 0;
}

void libusb_exit(void* context) {
    (void)context;
}

void libusb_free_device_list(void** list, int unreference) {
    (void)list;
    (void)unreference;
}

// The rest takes a device, and there is none. The plugin only has to find the symbols.
#define NO_DEVICE(name) \
    int name(void) { \
        return -4; \
    }
NO_DEVICE(libusb_bulk_transfer)
NO_DEVICE(libusb_claim_interface)
NO_DEVICE(libusb_close)
NO_DEVICE(libusb_detach_kernel_driver)
NO_DEVICE(libusb_free_config_descriptor)
NO_DEVICE(libusb_get_bus_number)
NO_DEVICE(libusb_get_config_descriptor)
NO_DEVICE(libusb_get_device_descriptor)
NO_DEVICE(libusb_get_port_numbers)
NO_DEVICE(libusb_open)
NO_DEVICE(libusb_ref_device)
NO_DEVICE(libusb_release_interface)
NO_DEVICE(libusb_set_configuration)
NO_DEVICE(libusb_strerror)
NO_DEVICE(libusb_unref_device)
