package main

import (
	"io"
	"net"
	"syscall"
)

// discard drops count bytes inside the kernel: with MSG_TRUNC a TCP socket copies nothing.
func discard(connection *net.TCPConn, count int64) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	// Nothing is written to it; its length is the most that one call takes.
	space := make([]byte, min(count, 4<<20))
	var failed error
	err = raw.Read(func(descriptor uintptr) bool {
		for count > 0 {
			taken, _, err := syscall.Recvfrom(int(descriptor), space[:min(count, int64(len(space)))], syscall.MSG_TRUNC)
			switch {
			case err == syscall.EAGAIN:
				return false // wait until there is more
			case err == syscall.EINTR:
			case err != nil:
				failed = err
				return true
			case taken == 0:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				count -= int64(taken)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
