// Command sink is an S3 server that keeps nothing but the size, the metadata and the moment of arrival of an object, so
// that what is measured is the client.
//
// It takes put, multipart, head, get (zeros), delete and list in path style, honours "If-None-Match: *", answers
// "Expect: 100-continue", and looks at no signature and no checksum. Below "/-/" it tells what has arrived.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"net/url"
	"strconv"
	"strings"
)

const (
	bufferSize = 64 << 10
	largestXML = 8 << 20 // a list of 10,000 parts is smaller
)

// request is one request without its body, which is still on the connection.
type request struct {
	method string
	path   string // decoded
	query  url.Values
	header map[string]string // lower-case names
	body   *body
}

// answer is what goes back; a nil body with a size says how many zeros follow.
type answer struct {
	status int
	header map[string]string
	body   []byte
	zeros  int64
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr()) // whoever started it reads the port from here
	store := newStore()
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection.(*net.TCPConn), store)
	}
}

func serve(connection *net.TCPConn, store *store) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, bufferSize)
	writer := bufio.NewWriterSize(connection, bufferSize)
	for {
		request, err := readRequest(reader, connection)
		if err != nil {
			return // a closed or a broken connection: nobody is left to be told
		}
		if request.header["expect"] != "" {
			if _, err := connection.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return
			}
		}
		reply := store.handle(request)
		if err := request.body.drop(); err != nil {
			return
		}
		if err := writeAnswer(writer, request, reply); err != nil {
			return
		}
		if strings.EqualFold(request.header["connection"], "close") {
			return
		}
	}
}

func readRequest(reader *bufio.Reader, connection *net.TCPConn) (*request, error) {
	line, err := reader.ReadString('\n')
	if err != nil {
		return nil, err
	}
	words := strings.Fields(line)
	if len(words) != 3 {
		return nil, fmt.Errorf("not a request: %q", line)
	}
	target, err := url.ParseRequestURI(words[1])
	if err != nil {
		return nil, err
	}
	header := map[string]string{}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		header[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	if header["transfer-encoding"] != "" {
		return nil, fmt.Errorf("a body of unknown length, which S3 does not take either")
	}
	length, _ := strconv.ParseInt(header["content-length"], 10, 64)
	return &request{
		method: words[0],
		path:   target.Path,
		query:  target.Query(),
		header: header,
		body:   &body{reader: reader, connection: connection, left: length},
	}, nil
}

func writeAnswer(writer *bufio.Writer, request *request, reply answer) error {
	length := int64(len(reply.body)) + reply.zeros
	fmt.Fprintf(writer, "HTTP/1.1 %d -\r\nContent-Length: %d\r\n", reply.status, length)
	for name, value := range reply.header {
		fmt.Fprintf(writer, "%s: %s\r\n", name, value)
	}
	fmt.Fprint(writer, "\r\n")
	if request.method != "HEAD" {
		if _, err := writer.Write(reply.body); err != nil {
			return err
		}
		zeros := make([]byte, min(reply.zeros, bufferSize))
		for left := reply.zeros; left > 0; left -= int64(len(zeros)) {
			if _, err := writer.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
				return err
			}
		}
	}
	return writer.Flush()
}
