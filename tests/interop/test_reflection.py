"""Server reflection v1: a client that knows nothing can learn the contract and use it."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

from contract import SERVICES, admission_pb2, policy_pb2, reason_pb2
from daemon import PATIENCE

# The messages of v1 and v1alpha are the same on the wire; only the service's name differs.
METHOD = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def ask(daemon, **question):
    call = daemon.tcp.channel.stream_stream(
        METHOD,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    questions = iter([reflection_pb2.ServerReflectionRequest(**question)])
    [answer] = call(questions, timeout=PATIENCE)
    return answer


def files_of(daemon, **question):
    found = ask(daemon, **question).file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(file) for file in found]


def learned(daemon):
    """A pool with every file that the services need, and nothing that this process knew before."""
    files = {}
    for service in SERVICES:
        waiting = files_of(daemon, file_containing_symbol=service)
        while waiting:
            file = waiting.pop()
            if file.name not in files:
                files[file.name] = file
                for name in file.dependency:
                    waiting += files_of(daemon, file_by_filename=name)
    pool = descriptor_pool.DescriptorPool()

    def add(name):
        file = files.pop(name, None)
        if file is not None:
            for dependency in file.dependency:
                add(dependency)
            pool.Add(file)

    for name in list(files):
        add(name)
    return pool


def test_the_services_are_listed(daemon):
    services = ask(daemon, list_services="").list_services_response.service
    listed = {service.name for service in services}
    assert listed >= {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"}


def test_the_learned_contract_is_the_contract(daemon):
    pool = learned(daemon)
    for module in (admission_pb2, policy_pb2):
        for name, service in module.DESCRIPTOR.services_by_name.items():
            assert [
                (method.name, method.input_type.full_name, method.output_type.full_name)
                for method in pool.FindServiceByName(service.full_name).methods
            ] == [
                (method.name, method.input_type.full_name, method.output_type.full_name)
                for method in service.methods
            ], name
        for name, message in module.DESCRIPTOR.message_types_by_name.items():
            assert [
                (field.name, field.number, field.type)
                for field in pool.FindMessageTypeByName(message.full_name).fields
            ] == [(field.name, field.number, field.type) for field in message.fields], name


def test_the_learned_contract_can_be_used(daemon):
    method = learned(daemon).FindServiceByName(SERVICES[0]).FindMethodByName("Admit")
    request_class = message_factory.GetMessageClass(method.input_type)
    answer_class = message_factory.GetMessageClass(method.output_type)
    admit = daemon.tcp.channel.unary_unary(
        f"/{SERVICES[0]}/Admit",
        request_serializer=request_class.SerializeToString,
        response_deserializer=answer_class.FromString,
    )
    answer = admit(request_class(host="spark-1", run_id="run-7"), timeout=PATIENCE)
    assert answer.verdict == reason_pb2.VERDICT_DENY
    assert [reason.code for reason in answer.reasons] == ["lane-unspecified"]
