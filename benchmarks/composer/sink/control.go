package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const page = 1000

// control answers what is not S3: "/-/arrivals" (of keys that begin with "prefix"; with "count" it waits until there are
// as many, "seconds" at most), "/-/requests" (how many of each kind), "/-/clear".
func (s *store) control(r *request) answer {
	s.lock.Lock()
	defer s.lock.Unlock()
	switch r.path {
	case "/-/arrivals":
		count, _ := strconv.Atoi(r.query.Get("count"))
		seconds, _ := strconv.ParseFloat(r.query.Get("seconds"), 64)
		return asJSON(s.wait(r.query.Get("prefix"), count, seconds))
	case "/-/requests":
		return asJSON(s.requests)
	case "/-/clear":
		s.clear()
		return answer{status: 204}
	}
	return answer{status: 404}
}

func asJSON(value any) answer {
	text, err := json.Marshal(value)
	if err != nil {
		return answer{status: 500, body: []byte(err.Error())}
	}
	return answer{status: 200, body: text}
}

// wait is called with the lock, which the condition gives away meanwhile.
func (s *store) wait(prefix string, count int, seconds float64) []arrival {
	over := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	timer := time.AfterFunc(time.Until(over), s.changed.Broadcast)
	defer timer.Stop()
	found, seen := []arrival{}, 0
	for {
		if len(s.arrivals) < seen { // cleared meanwhile
			found, seen = []arrival{}, 0
		}
		for ; seen < len(s.arrivals); seen++ {
			if strings.HasPrefix(s.arrivals[seen].Key, prefix) {
				found = append(found, s.arrivals[seen])
			}
		}
		if len(found) >= count || !time.Now().Before(over) {
			return found
		}
		s.changed.Wait()
	}
}

// list answers both versions of the request; the token of the next page is the last key of this one.
func (s *store) list(bucket string, r *request) answer {
	if _, asked := r.query["location"]; asked {
		return document(200, "<LocationConstraint></LocationConstraint>")
	}
	after := r.query.Get("continuation-token") + r.query.Get("marker")
	s.lock.Lock()
	defer s.lock.Unlock()
	text, count, more, last := "", 0, false, ""
	for _, name := range s.names(bucket + "/" + r.query.Get("prefix")) {
		key := strings.TrimPrefix(name, bucket+"/")
		if key <= after {
			continue
		}
		if more = count == page; more {
			break
		}
		found := s.objects[name]
		shown := escaped(key)
		if r.query.Get("encoding-type") == "url" {
			shown = escaped(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"))
		}
		text += fmt.Sprintf("<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag><LastModified>%s</LastModified></Contents>",
			shown, found.size, escaped(found.header["ETag"]), found.when.UTC().Format(time.RFC3339))
		count, last = count+1, key
	}
	next := ""
	if more {
		next = fmt.Sprintf("<NextContinuationToken>%s</NextContinuationToken><NextMarker>%s</NextMarker>", escaped(last), escaped(last))
	}
	return document(200, fmt.Sprintf(
		"<ListBucketResult><Name>%s</Name><KeyCount>%d</KeyCount><IsTruncated>%t</IsTruncated><EncodingType>%s</EncodingType>%s%s</ListBucketResult>",
		escaped(bucket), count, more, escaped(r.query.Get("encoding-type")), next, text))
}
