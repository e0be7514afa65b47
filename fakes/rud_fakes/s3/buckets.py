"""Operations on buckets."""

from __future__ import annotations

from rud_fakes._http.dialect import Reply
from rud_fakes.s3.documents import S3Error, document, iso_time, tag, text
from rud_fakes.s3.state import Bucket, Call


def list_buckets(call: Call) -> Reply:
    """All of them."""
    with call.state.lock:
        found = sorted((name, bucket.created) for name, bucket in call.state.buckets.items())
    inner = [tag("Bucket", text("Name", name), text("CreationDate", iso_time(created))) for name, created in found]
    return document("ListAllMyBucketsResult", [tag("Owner", text("ID", "rud_fakes")), tag("Buckets", *inner)])


def head_bucket(call: Call) -> Reply:
    """That it is there, and where."""
    return Reply(200, headers={"x-amz-bucket-region": call.state.region})


def get_bucket_location(call: Call) -> Reply:
    """Where it is; nothing stands for ``us-east-1``."""
    region = call.state.region
    return document("LocationConstraint", [] if region == "us-east-1" else [region])


def create_bucket(call: Call) -> Reply:
    """An empty one."""
    name = call.target.bucket
    with call.state.lock:
        if name in call.state.buckets:
            raise S3Error(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
                BucketName=name,
            )
        call.state.buckets[name] = Bucket(call.state.now())
    return Reply(200, headers={"Location": f"/{name}"})
