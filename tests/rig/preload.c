/* What programs on a host see of its clock and its processor, while a fault is in force.
 *
 * Listed in the host's /etc/ld.so.preload, so that every program started from then on uses it:
 *   -DCLOCK_OFF_S=86400      the time of day is off by this much; monotonic clocks are not
 *   -DMACHINE='"riscv64"'    what uname says of the processor
 *   -DSTOP_AFTER='"/x"'      a program stops (SIGSTOP) when a file of this ending is on the disk
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifdef CLOCK_OFF_S
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += CLOCK_OFF_S;
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}
#endif

#ifdef MACHINE
int uname(struct utsname *name)
{
    int status = syscall(SYS_uname, name);
    if (status == 0)
        strcpy(name->machine, MACHINE);
    return status;
}
#endif

#ifdef STOP_AFTER
int fsync(int file)
{
    char link[32], path[4096];
    int status = syscall(SYS_fsync, file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    ssize_t end = sizeof STOP_AFTER - 1;
    if (status == 0 && length >= end && memcmp(path + length - end, STOP_AFTER, end) == 0)
        raise(SIGSTOP);
    return status;
}
#endif
