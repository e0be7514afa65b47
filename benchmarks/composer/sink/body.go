package main

import (
	"bufio"
	"errors"
	"io"
	"net"
)

// body is what is left of a request on its connection.
type body struct {
	reader     *bufio.Reader
	connection *net.TCPConn
	left       int64
}

// read returns the whole body, which is a small document.
func (b *body) read() ([]byte, error) {
	if b.left > largestXML {
		return nil, errors.New("too large a document")
	}
	text := make([]byte, b.left)
	_, err := io.ReadFull(b.reader, text)
	b.left = 0
	return text, err
}

// drop takes the body off the connection: what was read ahead first, the rest without copying it where that is possible.
func (b *body) drop() error {
	ahead, err := b.reader.Discard(int(min(b.left, int64(b.reader.Buffered()))))
	b.left -= int64(ahead)
	if err != nil || b.left == 0 {
		return err
	}
	err = discard(b.connection, b.left)
	b.left = 0
	return err
}
