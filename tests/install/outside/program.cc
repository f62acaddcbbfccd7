// The same in C++: the instance is made by epoll's own name, a thread waits on it, and the callback
// is a lambda.
#include "program.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <sys/eventfd.h>
#include <thread>

int main()
{
    int ep = epoll_create1(EPOLL_CLOEXEC);
    int fd = eventfd(0, EFD_NONBLOCK);
    CHECK(ep >= 0 && fd >= 0);
    check_whose_epoll(ep);

    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    CHECK(epolyfill_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);

    std::thread waiter([ep, fd] {
        std::array<epoll_event, 4> events;
        CHECK(epoll_wait(ep, events.data(), events.size(), 5000) == 1);
        CHECK(events[0].data.fd == fd);
    });
    const std::uint64_t one = 1;
    CHECK(write(fd, &one, sizeof one) == sizeof one);
    waiter.join();

    std::atomic<int> seen{0};
    CHECK(epolyfill_set_callback(
              ep,
              [](const epoll_event *events, int n, void *user) {
                  std::uint64_t count;
                  CHECK(n == 1 && read(events[0].data.fd, &count, sizeof count) == sizeof count);
                  *static_cast<std::atomic<int> *>(user) = static_cast<int>(count);
              },
              &seen) == 0);
    while (seen == 0)
        std::this_thread::yield();
    CHECK(seen == 1);
    CHECK(epolyfill_set_callback(ep, nullptr, nullptr) == 0);
    CHECK(epolyfill_close(ep) == 0);
}
