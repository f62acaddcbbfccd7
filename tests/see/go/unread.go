// Sleeps on bytes that it has left unread, on an edge-triggered pipe.
package main

import "syscall"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

//go:noinline
func watch(instance, fd int) {
	const edge = 1 << 31
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: int32(fd)}
	must(syscall.EpollCtl(instance, syscall.EPOLL_CTL_ADD, fd, &event)) // added here
}

func main() {
	var ends [2]int
	must(syscall.Pipe2(ends[:], syscall.O_NONBLOCK))
	instance, err := syscall.EpollCreate1(0)
	must(err)
	watch(instance, ends[0])
	_, err = syscall.Write(ends[1], []byte("0123456789"))
	must(err)
	events := make([]syscall.EpollEvent, 4)
	for _, expected := range []int{1, 0} {
		for {
			n, err := syscall.EpollWait(instance, events, 300)
			if err == syscall.EINTR {
				continue
			}
			must(err)
			if n != expected {
				panic(n)
			}
			break
		}
		if expected == 1 {
			_, err = syscall.Read(ends[0], make([]byte, 4))
			must(err)
		}
	}
}
