package main

import (
	"encoding/xml"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// object is what is kept of one.
type object struct {
	size   int64
	when   time.Time
	header map[string]string // of the answer to a head: entity tag, metadata, checksums
}

// arrival is one object that has become visible, or one more time.
type arrival struct {
	Key  string `json:"key"` // with the bucket before it
	Size int64  `json:"size"`
	When int64  `json:"when"` // nanoseconds since the epoch
}

// multipart is an upload that is not complete: the sizes of its parts, and the metadata that the object will have.
type multipart struct {
	key    string
	parts  map[int]int64
	header map[string]string
}

type store struct {
	lock     sync.Mutex // guards everything below
	changed  *sync.Cond
	objects  map[string]object
	uploads  map[string]*multipart
	arrivals []arrival
	requests map[string]int
	number   int
}

func newStore() *store {
	made := &store{}
	made.changed = sync.NewCond(&made.lock)
	made.clear()
	return made
}

func (s *store) clear() {
	s.objects = map[string]object{}
	s.uploads = map[string]*multipart{}
	s.arrivals = []arrival{}
	s.requests = map[string]int{}
}

func (s *store) count(what string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.requests[what]++
}

// handle answers one request. A body that it leaves unread is dropped by the caller, except where it must have arrived
// before the object may be seen.
func (s *store) handle(r *request) answer {
	if strings.HasPrefix(r.path, "/-/") {
		return s.control(r)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
	_, isUploads := r.query["uploads"]
	_, isDelete := r.query["delete"]
	upload := r.query.Get("uploadId")
	name := r.method
	for _, word := range []string{"uploads", "uploadId", "delete"} {
		if _, there := r.query[word]; there {
			name += "?" + word
		}
	}
	s.count(name)
	switch {
	case key == "" && r.method == "GET" && isUploads:
		return s.listUploads(bucket)
	case key == "" && r.method == "GET":
		return s.list(bucket, r)
	case key == "" && r.method == "POST" && isDelete:
		return s.deleteMany(bucket, r)
	case key == "":
		return answer{status: 200} // every bucket is there
	case r.method == "PUT" && upload != "":
		return s.putPart(upload, r)
	case r.method == "PUT":
		return s.put(bucket+"/"+key, r)
	case r.method == "POST" && isUploads:
		return s.create(bucket, key, r)
	case r.method == "POST":
		return s.complete(bucket, key, upload, r)
	case r.method == "DELETE" && upload != "":
		return s.abort(upload)
	case r.method == "DELETE":
		return s.delete(bucket + "/" + key)
	case r.method == "GET" || r.method == "HEAD":
		return s.get(bucket+"/"+key, r)
	}
	return failure(405, "MethodNotAllowed")
}

func failure(status int, code string) answer {
	return document(status, fmt.Sprintf("<Error><Code>%s</Code><Message>the sink says so</Message></Error>", code))
}

func document(status int, text string) answer {
	header := map[string]string{"Content-Type": "application/xml"}
	return answer{status: status, header: header, body: []byte(xml.Header + text)}
}

func escaped(text string) string {
	var builder strings.Builder
	xml.EscapeText(&builder, []byte(text))
	return builder.String()
}

// kept is what of a request's header belongs to the object.
func kept(r *request) map[string]string {
	found := map[string]string{}
	for name, value := range r.header {
		if strings.HasPrefix(name, "x-amz-meta-") || strings.HasPrefix(name, "x-amz-checksum-") {
			found[name] = value
		}
	}
	return found
}

func checksums(header map[string]string) map[string]string {
	found := map[string]string{}
	for name, value := range header {
		if strings.HasPrefix(name, "x-amz-checksum-") {
			found[name] = value
		}
	}
	return found
}

func (r *request) size() int64 {
	decoded := r.header["x-amz-decoded-content-length"] // of a body in aws-chunked encoding
	if size, err := strconv.ParseInt(decoded, 10, 64); err == nil {
		return size
	}
	return r.body.left
}

// tag makes an entity tag that no other object has. With the lock.
func (s *store) tag(suffix string) string {
	s.number++
	return fmt.Sprintf("\"%032x%s\"", s.number, suffix)
}

// publish makes an object visible unless it may only be created and is there. With the lock.
func (s *store) publish(key string, size int64, header map[string]string, onlyNew bool) bool {
	if _, there := s.objects[key]; there && onlyNew {
		return false
	}
	now := time.Now()
	s.objects[key] = object{size: size, when: now, header: header}
	s.arrivals = append(s.arrivals, arrival{Key: key, Size: size, When: now.UnixNano()})
	s.changed.Broadcast()
	return true
}

func (s *store) put(key string, r *request) answer {
	size := r.size()
	if err := r.body.drop(); err != nil {
		return failure(400, "IncompleteBody")
	}
	header := kept(r)
	s.lock.Lock()
	defer s.lock.Unlock()
	header["ETag"] = s.tag("")
	if !s.publish(key, size, header, r.header["if-none-match"] == "*") {
		return failure(412, "PreconditionFailed")
	}
	reply := checksums(header)
	reply["ETag"] = header["ETag"]
	return answer{status: 200, header: reply}
}

func (s *store) get(key string, r *request) answer {
	s.lock.Lock()
	found, there := s.objects[key]
	s.lock.Unlock()
	if !there {
		return failure(404, "NoSuchKey")
	}
	header := map[string]string{"Last-Modified": found.when.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	for name, value := range found.header {
		// The zeros of a get are not what was summed.
		if r.method == "HEAD" || !strings.HasPrefix(name, "x-amz-checksum-") {
			header[name] = value
		}
	}
	return answer{status: 200, header: header, zeros: found.size}
}

func (s *store) delete(key string) answer {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.objects, key)
	return answer{status: 204}
}

func (s *store) deleteMany(bucket string, r *request) answer {
	var wanted struct {
		Object []struct{ Key string }
	}
	text, err := r.body.read()
	if err == nil {
		err = xml.Unmarshal(text, &wanted)
	}
	if err != nil {
		return failure(400, "MalformedXML")
	}
	for _, one := range wanted.Object {
		s.delete(bucket + "/" + one.Key)
	}
	return document(200, "<DeleteResult></DeleteResult>")
}

// names gives those that begin with the prefix, in order. With the lock.
func (s *store) names(prefix string) []string {
	found := []string{}
	for name := range s.objects {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	sort.Strings(found)
	return found
}
