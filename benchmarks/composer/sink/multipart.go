package main

import (
	"fmt"
	"strconv"
	"strings"
)

func (s *store) create(bucket, key string, r *request) answer {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.number++
	id := fmt.Sprintf("upload-%d", s.number)
	s.uploads[id] = &multipart{key: bucket + "/" + key, parts: map[int]int64{}, header: kept(r)}
	return document(200, fmt.Sprintf(
		"<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>",
		escaped(bucket), escaped(key), id))
}

func (s *store) putPart(id string, r *request) answer {
	size := r.size()
	if err := r.body.drop(); err != nil {
		return failure(400, "IncompleteBody")
	}
	number, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil {
		return failure(400, "InvalidArgument")
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	upload, there := s.uploads[id]
	if !there {
		return failure(404, "NoSuchUpload")
	}
	upload.parts[number] = size
	reply := checksums(kept(r))
	reply["ETag"] = s.tag("")
	return answer{status: 200, header: reply}
}

// complete takes all parts that were sent, whatever the document lists.
func (s *store) complete(bucket, key, id string, r *request) answer {
	if _, err := r.body.read(); err != nil {
		return failure(400, "IncompleteBody")
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	upload, there := s.uploads[id]
	if !there {
		return failure(404, "NoSuchUpload")
	}
	size := int64(0)
	for _, one := range upload.parts {
		size += one
	}
	sums := ""
	for name, value := range kept(r) {
		if strings.HasPrefix(name, "x-amz-checksum-") {
			upload.header[name] = value
			if name != "x-amz-checksum-type" {
				sum := strings.ToUpper(strings.TrimPrefix(name, "x-amz-checksum-"))
				sums += fmt.Sprintf("<Checksum%s>%s</Checksum%s>", sum, escaped(value), sum)
			}
		}
	}
	upload.header["ETag"] = s.tag(fmt.Sprintf("-%d", len(upload.parts)))
	if !s.publish(upload.key, size, upload.header, r.header["if-none-match"] == "*") {
		return failure(412, "PreconditionFailed")
	}
	delete(s.uploads, id)
	return document(200, fmt.Sprintf(
		"<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>%s</ETag>%s</CompleteMultipartUploadResult>",
		escaped(bucket), escaped(key), escaped(upload.header["ETag"]), sums))
}

func (s *store) abort(id string) answer {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, there := s.uploads[id]; !there {
		return failure(404, "NoSuchUpload")
	}
	delete(s.uploads, id)
	return answer{status: 204}
}

func (s *store) listUploads(bucket string) answer {
	s.lock.Lock()
	defer s.lock.Unlock()
	text := "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
	for id, upload := range s.uploads {
		if key, ours := strings.CutPrefix(upload.key, bucket+"/"); ours {
			text += fmt.Sprintf("<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", escaped(key), id)
		}
	}
	return document(200, text+"</ListMultipartUploadsResult>")
}
