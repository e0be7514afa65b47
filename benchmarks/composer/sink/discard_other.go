//go:build !linux

package main

import (
	"io"
	"net"
)

func discard(connection *net.TCPConn, count int64) error {
	_, err := io.CopyN(io.Discard, connection, count)
	return err
}
