//! Every call of the contract, and reflection, in the shortest form.

use std::pin::Pin;

use admit_proto::v1::{
    AdmitRequest, AdmitResponse, CheckEvidenceRequest, GetPermitKeysRequest, GetPolicyRequest,
    WatchPolicyRequest, admission_service_client::AdmissionServiceClient,
    policy_service_client::PolicyServiceClient,
};
use admit_server::caller::Rpc;
use tonic::{Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::daemon::within;

/// Makes the call; `launch` says what a launch and its evidence are about.
pub(crate) async fn call(rpc: Rpc, channel: &Channel, launch: AdmitRequest) -> Result<(), Status> {
    let channel = channel.clone();
    let mut admission = AdmissionServiceClient::new(channel.clone());
    let mut policy = PolicyServiceClient::new(channel);
    let answered: Pin<Box<dyn Future<Output = Result<(), Status>>>> = match rpc {
        Rpc::Admit => Box::pin(async move { admission.admit(launch).await.map(drop) }),
        Rpc::CheckEvidence => {
            let request = CheckEvidenceRequest {
                host: launch.host,
                run_id: launch.run_id,
                ..CheckEvidenceRequest::default()
            };
            Box::pin(async move { admission.check_evidence(request).await.map(drop) })
        }
        Rpc::GetPolicy => {
            Box::pin(async move { policy.get_policy(GetPolicyRequest {}).await.map(drop) })
        }
        Rpc::WatchPolicy => Box::pin(async move {
            let watch = policy.watch_policy(WatchPolicyRequest::default()).await;
            watch?.into_inner().message().await.map(drop)
        }),
        Rpc::GetPermitKeys => Box::pin(async move {
            policy
                .get_permit_keys(GetPermitKeysRequest {})
                .await
                .map(drop)
        }),
    };
    within(rpc.as_str(), answered).await
}

/// Asks for the list of services.
pub(crate) async fn lists_services(channel: &Channel) -> Result<(), Status> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let asked = client.server_reflection_info(tokio_stream::iter([question]));
    let mut answers = within("a stream", asked).await?.into_inner();
    within("the list", answers.message()).await.map(drop)
}

/// Begins to ask about a launch, and never says which.
pub(crate) async fn begins_to_ask(channel: &Channel) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    let asked = async {
        let ready = client.ready().await;
        ready.map_err(|error| Status::unknown(error.to_string()))?;
        let request = tonic::Request::new(tokio_stream::pending::<AdmitRequest>());
        let path = PathAndQuery::from_static("/admit.v1.AdmissionService/Admit");
        let codec = ProstCodec::<AdmitRequest, AdmitResponse>::default();
        client
            .client_streaming(request, path, codec)
            .await
            .map(drop)
    };
    within("an answer without a request", asked).await
}
