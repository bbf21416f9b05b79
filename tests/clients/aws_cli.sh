#!/usr/bin/env bash
# A session of the AWS CLI's `apigateway` commands, as its own help writes them. Its one argument is the URL of a
# management API with nothing in it.
set -euo pipefail

url=$1
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=
today=$(date -u +%Y-%m-%d)
file=$(mktemp)
trap 'rm -f "$file"' EXIT

apigateway() { aws apigateway "$@" --endpoint-url "$url"; }

# expect WHAT IS
expect() {
  [ "$1" = "$2" ] || { echo "expected $1, got $2" >&2; exit 1; }
}

key=$(apigateway create-api-key --name 'Dev API Key' --description 'Used for development' --enabled \
  --stage-keys restApiId=a1b2c3d4e5,stageName=dev --query id --output text)
expect 'Dev API Key' "$(apigateway get-api-key --api-key "$key" --query name --output text)"
expect "$key" "$(apigateway get-api-keys --name-query Dev --query 'items[0].id' --output text)"
expect 'newName' "$(apigateway update-api-key --api-key "$key" \
  --patch-operations op='replace',path='/name',value='newName' --query name --output text)"

plan=$(apigateway create-usage-plan --name 'New Usage Plan' --description 'A new usage plan' \
  --throttle burstLimit=10,rateLimit=5 --quota limit=500,offset=0,period=MONTH --query id --output text)
expect 5.0 "$(apigateway get-usage-plan --usage-plan-id "$plan" --query throttle.rateLimit --output text)"
expect 1000 "$(apigateway update-usage-plan --usage-plan-id "$plan" \
  --patch-operations op='replace',path='/quota/limit',value='1000' --query quota.limit --output text)"
apigateway update-usage-plan --usage-plan-id "$plan" --patch-operations \
  'op=add,path=/apiStages,value=a1b2c3d4e5:dev' \
  'op=replace,path=/apiStages/a1b2c3d4e5:dev/throttle/~1pets/GET/rateLimit,value=2' >/dev/null
expect "$plan" "$(apigateway get-usage-plans --query 'items[0].id' --output text)"

expect "$key" "$(apigateway create-usage-plan-key --usage-plan-id "$plan" --key-type API_KEY --key-id "$key" \
  --query id --output text)"
expect "$key" "$(apigateway get-usage-plan-keys --usage-plan-id "$plan" --query 'items[0].id' --output text)"
expect newName "$(apigateway get-usage-plan-key --usage-plan-id "$plan" --key-id "$key" --query name --output text)"

apigateway update-usage --usage-plan-id "$plan" --key-id "$key" \
  --patch-operations op='replace',path='/remaining',value='10' >/dev/null
expect 10 "$(apigateway get-usage --usage-plan-id "$plan" --start-date "$today" --end-date "$today" \
  --query "items.\"$key\"[0][1]" --output text)"

printf 'Name,Key,Description,Enabled,UsagePlanIds\nMyFirstApiKey,apikey1234abcdefghij0123456789,An imported key,TRUE,%s\n' \
  "$plan" >"$file"
imported=$(apigateway import-api-keys --body "fileb://$file" --format csv --fail-on-warnings \
  --query 'ids[0]' --output text)
expect MyFirstApiKey "$(apigateway get-api-key --api-key "$imported" --query name --output text)"

arn="arn:aws:apigateway:us-east-1::/apikeys/$key"
apigateway tag-resource --resource-arn "$arn" --tags Department=Sales
expect Sales "$(apigateway get-tags --resource-arn "$arn" --query tags.Department --output text)"
apigateway untag-resource --resource-arn "$arn" --tag-keys Department

# A mistake is an exit code and a message.
if said=$(apigateway delete-usage-plan --usage-plan-id "$plan" 2>&1); then
  echo "a plan with stages was deleted" >&2
  exit 1
fi
case $said in
  *BadRequestException*'there are API Stages associated with it'*) ;;
  *) echo "$said" >&2 && exit 1 ;;
esac

apigateway delete-usage-plan-key --usage-plan-id "$plan" --key-id "$key"
apigateway update-usage-plan --usage-plan-id "$plan" \
  --patch-operations 'op=remove,path=/apiStages,value=a1b2c3d4e5:dev' >/dev/null
apigateway delete-usage-plan --usage-plan-id "$plan"
apigateway delete-api-key --api-key "$key"
apigateway delete-api-key --api-key "$imported"
expect 0 "$(apigateway get-api-keys --query 'length(items)' --output text)"
echo done
